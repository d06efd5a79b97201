"""The ways to run the same weights, each behind one face: ``detect(image) -> (xyxy px, score, class_id)``.

Every peer is used as its own documentation shows it, with its defaults except for the input size, the threads and the
score threshold, which are the same for all.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

IOU = 0.6
Boxes = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]


class Peer(Protocol):
    """Loads in its constructor; ``detect`` takes uint8 (H, W, 3) BGR."""

    def detect(self, image: np.ndarray[Any, Any]) -> Boxes: ...


class Ours:
    """The runtime's detector over a bundle, on its own."""

    def __init__(self, path: Path, *, threads: int, conf: float, size: tuple[int, int]) -> None:
        from edge.detect.onnx import OnnxDetector

        del size  # the bundle's own
        self._detector = OnnxDetector(path, threads=threads, score_floor=conf, max_detections=300)

    def detect(self, image: np.ndarray[Any, Any]) -> Boxes:
        found = self._detector.detect_image(image)
        return found.xyxy, found.score, found.class_id


class OursWhole:
    """The whole pipeline, as the service builds it: from the frame to incident changes, gate included."""

    def __init__(self, path: Path, *, threads: int, conf: float, size: tuple[int, int]) -> None:
        import itertools
        from datetime import datetime, timedelta, timezone

        from edge.app.build import build_detector, build_incidents, build_line
        from edge.clock import SystemClock
        from edge.config import Config
        from edge.pipeline import Pipeline
        from edge.types import Frame

        del conf, size
        config = Config.model_validate(
            {
                "cameras": [{"name": "lobby", "source": "file:none.mp4"}],
                "model": {"path": str(path), "threads": threads, "closer_every_s": 0},  # no peer looks twice
            }
        )
        detector = build_detector(config, Path.cwd() / "none.toml")
        numbers = itertools.count()
        self._pipeline = Pipeline(
            detector=detector,
            lines={"lobby": build_line(config, config.cameras[0], detector)},
            incidents=build_incidents(config, lambda: str(next(numbers))),
            now_s=SystemClock().monotonic_s,
            clock_synced=lambda: True,
        )
        self._n = 0
        began = datetime.now(timezone.utc)
        self._frame = lambda image, n: Frame(image, n, n * 0.2, began + timedelta(seconds=n * 0.2), "lobby")

    def detect(self, image: np.ndarray[Any, Any]) -> Boxes:
        self._n += 1
        tracks = self._pipeline.step(self._frame(image.view(), self._n)).tracks
        return tracks.xyxy, tracks.score, tracks.class_id


class Ultralytics:
    """ultralytics' predict over whatever it exported."""

    def __init__(self, path: Path, *, threads: int, conf: float, size: tuple[int, int]) -> None:
        import torch
        from ultralytics import YOLO

        torch.set_num_threads(threads)
        self._model, self._conf, self._size = YOLO(str(path), task="detect"), conf, size

    def detect(self, image: np.ndarray[Any, Any]) -> Boxes:
        found = self._model.predict(
            image, imgsz=list(self._size), conf=self._conf, iou=IOU, device="cpu", verbose=False, save=False
        )[0].boxes
        return found.xyxy.cpu().numpy(), found.conf.cpu().numpy(), found.cls.cpu().numpy().astype(np.int64)


class OpenCvDnn:
    """OpenCV's own inference, with the pre- and post-processing its examples show."""

    def __init__(self, path: Path, *, threads: int, conf: float, size: tuple[int, int]) -> None:
        cv2.setNumThreads(threads)
        self._net = cv2.dnn.readNetFromONNX(str(path))
        self._conf, self._size = conf, size

    def detect(self, image: np.ndarray[Any, Any]) -> Boxes:
        height, width = self._size
        scale = min(width / image.shape[1], height / image.shape[0])
        w, h = round(image.shape[1] * scale), round(image.shape[0] * scale)
        left, top = (width - w) // 2, (height - h) // 2
        boxed = np.full((height, width, 3), 114, np.uint8)
        boxed[top : top + h, left : left + w] = cv2.resize(image, (w, h))
        self._net.setInput(cv2.dnn.blobFromImage(boxed, 1 / 255, swapRB=True))
        out = self._net.forward()[0].T
        best = out[:, 4:].argmax(1)
        score = out[np.arange(len(out)), 4 + best]
        keep = score > self._conf
        out, best, score = out[keep], best[keep], score[keep]
        centre, extent = out[:, :2], out[:, 2:4]
        corner = (centre - extent / 2 - (left, top)) / scale
        rows = np.asarray(
            cv2.dnn.NMSBoxesBatched(
                np.hstack([corner, extent / scale]).tolist(), score.tolist(), best.tolist(), self._conf, IOU
            ),
            np.int64,
        ).reshape(-1)[:300]
        return np.hstack([corner, corner + extent / scale])[rows], score[rows], best[rows]


KINDS: dict[str, type[Any]] = {"ours": Ours, "whole": OursWhole, "ultralytics": Ultralytics, "opencv": OpenCvDnn}


def use_threads(threads: int) -> None:
    """Hold this process to so many processors: not every peer can be told how many threads to use."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
