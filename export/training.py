"""Fine-tuning through ultralytics: its loop, its losses; ours are the kiosk's pictures and a run that survives a kill."""

from __future__ import annotations

import functools
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import YAML

from export.augment import KioskAugment
from export.errors import ExportError
from export.stages import MAP_STAGE
from export.weights import load_weights

if TYPE_CHECKING:
    from export.dataset import Dataset
    from export.recipe import Recipe

_CHECKPOINT = "checkpoint.pt"
_STATE = "run.json"
SOURCE_NAME = "source.pt"


class KioskTrainer(DetectionTrainer):  # type: ignore[misc] # ultralytics has no type information
    """ultralytics' trainer, with the recipe's effects on every training picture just before it becomes a tensor.

    :param bf16: compute the network in bfloat16 on the processor (the losses stay float32): ultralytics offers that
        on graphics cards only.
    """

    def __init__(self, *args: Any, recipe: Recipe, bf16: bool = False, workers: int = 0, **kwargs: Any) -> None:
        self._augment = KioskAugment(recipe)
        self._bf16 = bf16
        super().__init__(*args, **kwargs)
        # ultralytics allows none on a processor; where a core is to spare, one is a fifth of the time.
        self.args.workers = workers

    def _setup_train(self) -> None:
        super()._setup_train()
        if self.device.type == "cpu":
            # ultralytics leaves one core idle, which on two cores is half of them.
            torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
        if not self._bf16:
            return
        # After ultralytics took its moving average: what is validated and saved knows nothing of this.
        self.model.to(memory_format=torch.channels_last)
        predict = self.model.predict

        def in_bfloat16(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return _as_float(predict(x.contiguous(memory_format=torch.channels_last), *args, **kwargs))

        self.model.predict = in_bfloat16

    def read_results_csv(self) -> dict[str, Any]:
        """Nothing: the curve is in results.csv, and copying it into every checkpoint takes a further library."""
        return {}

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        dataset = super().build_dataset(img_path, mode, batch)
        if mode == "train":
            # ultralytics builds the transforms anew when it closes the mosaic: both times ours must be among them.
            plain = dataset.build_transforms

            def build(hyp: Any) -> Any:
                transforms = plain(hyp)
                transforms.insert(len(transforms.transforms) - 1, self._augment)
                return transforms

            dataset.build_transforms = build
            dataset.transforms.insert(len(dataset.transforms.transforms) - 1, self._augment)
        return dataset


def _as_float(value: Any) -> Any:
    """The network's outputs, however nested, as float32."""
    if isinstance(value, torch.Tensor):
        return value.float()
    if isinstance(value, dict):
        return {key: _as_float(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_as_float(item) for item in value)
    return value


class Run:
    """One training run in one folder. Started again with the same arguments, it goes on from its last whole epoch.

    :param folder: everything goes here: the checkpoint, ultralytics' results.csv, ``source.pt`` in the end.
    :param weights: where fine-tuning starts.
    :param data_yaml: the data set, checked before.
    :param settings: what makes this run this run; a folder with other settings is refused.
    """

    def __init__(
        self, *, folder: Path, weights: Path, data_yaml: Path, recipe: Recipe, settings: dict[str, Any]
    ) -> None:
        self._folder = folder
        self._weights = weights
        self._data_yaml = data_yaml
        self._recipe = recipe
        self._settings = settings
        self._state = self._read_state()
        if self._state.setdefault("settings", settings) != settings:
            changed = sorted(k for k in settings if self._state["settings"].get(k) != settings[k])
            raise ExportError(
                f"{folder}: holds a run with other settings ({', '.join(changed)})",
                hint="name a new --out, or give the arguments of the run that is to go on",
            )

    @property
    def epochs_done(self) -> int:
        """Whole epochs that the checkpoint holds."""
        return int(self._state.get("epochs_done", 0))

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return bool(self._state.get("finished")) and (self._folder / SOURCE_NAME).is_file()

    def train(
        self, *, device: str, batch: int, workers: int, precision: str, cache: bool, keep_map: bool = False
    ) -> Path:
        """Train to the end and return ``source.pt``: the best epoch, half precision, without the optimiser.

        :param keep_map: leave the layers as they are that make the map which behaviours are learnt from.
        :raises ExportError: ultralytics cannot train with this.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write_state()
        checkpoint = self._folder / _CHECKPOINT
        resumed = checkpoint.is_file() and self.epochs_done > 0
        hours = self._settings["hours"]
        epochs = self._settings["epochs"]
        spent_s = float(self._state.get("spent_s", 0.0))
        over = self.epochs_done >= epochs or (hours is not None and spent_s >= hours * 3600)
        if not (resumed and (over or self._state.get("finished"))):
            self._fit(
                checkpoint if resumed else None,
                device=device,
                batch=batch,
                workers=workers,
                precision=precision,
                cache=cache,
                keep_map=keep_map,
            )
        best = self._folder / "run" / "weights" / "best.pt"
        write_source(best, self._folder / SOURCE_NAME, provenance=self._settings)
        self._state["finished"] = True
        self._write_state()
        return self._folder / SOURCE_NAME

    def _fit(
        self,
        checkpoint: Path | None,
        *,
        device: str,
        batch: int,
        workers: int,
        precision: str,
        cache: bool,
        keep_map: bool,
    ) -> None:
        model = load_weights(checkpoint or self._weights, to_be="trained")
        keep = _Keeper(self)
        model.add_callback("on_train_epoch_start", keep.epoch_starts)
        model.add_callback("on_model_save", keep.saved)
        model.add_callback("on_train_end", keep.ended)
        arguments: dict[str, Any] = {
            "data": str(self._data_yaml),
            "epochs": self._settings["epochs"],
            "time": self._settings["hours"],
            "imgsz": self._settings["imgsz"],
            "batch": batch,
            "device": device,
            "workers": workers,
            "amp": precision == "fp16" or ("bf16" if precision == "bf16" and device != "cpu" else False),
            "cache": "ram" if cache else False,
            "seed": self._settings["seed"],
            "deterministic": True,
            "project": str(self._folder),
            "name": "run",
            "exist_ok": True,
            "plots": False,
            "freeze": MAP_STAGE + 1 if keep_map else None,
            **self._recipe.ultralytics.model_dump(),
        }
        if checkpoint is not None:
            arguments["resume"] = str(checkpoint)
        trainer = functools.partial(
            KioskTrainer, recipe=self._recipe, bf16=precision == "bf16" and device == "cpu", workers=workers
        )
        try:
            model.train(trainer=trainer, **arguments)
        except (AssertionError, OSError, RuntimeError, ValueError) as error:
            raise ExportError(f"ultralytics stopped training: {error}", hint=f"see {self._folder}/run") from error

    def note_epoch(self, *, last: Path, epochs_done: int, spent_s: float) -> None:
        """A whole epoch is on the disk: keep its checkpoint where a kill in the next save cannot tear it."""
        fresh = self._folder / f".{_CHECKPOINT}"
        with fresh.open("wb") as file:
            file.write(last.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._folder / _CHECKPOINT)
        self._state.update(epochs_done=epochs_done, spent_s=round(spent_s, 1))
        self._write_state()

    def note_end(self) -> None:
        """The loop is through: epochs, time, or no progress any more."""
        self._state["finished"] = True
        self._write_state()

    @property
    def spent_s(self) -> float:
        """Seconds trained before this process, as of the last checkpoint."""
        return float(self._state.get("spent_s", 0.0))

    def _read_state(self) -> dict[str, Any]:
        try:
            state = dict(json.loads((self._folder / _STATE).read_text()))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            raise ExportError(f"{self._folder / _STATE}: cannot be read: {error}", hint="name a new --out") from None
        return state

    def _write_state(self) -> None:
        fresh = self._folder / f".{_STATE}"
        fresh.write_text(json.dumps(self._state, indent=2) + "\n")
        fresh.replace(self._folder / _STATE)


class _Keeper:
    """What happens beside ultralytics' loop."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before_s = run.spent_s
        self._started = time.time()
        self._first = True

    def epoch_starts(self, trainer: Any) -> None:
        if not self._first:
            return
        self._first = False
        self._started = time.time()
        if trainer.args.time:
            # ultralytics counts hours and the mean epoch from the start of the process; a run is longer than that.
            trainer.train_time_start -= self._before_s
            trainer.start_epoch = 0

    def saved(self, trainer: Any) -> None:
        spent_s = self._before_s + time.time() - self._started
        self._run.note_epoch(last=Path(trainer.last), epochs_done=int(trainer.epoch) + 1, spent_s=spent_s)

    def ended(self, _trainer: Any) -> None:
        self._run.note_end()


def write_source(best: Path, out: Path, *, provenance: dict[str, Any]) -> None:
    """The weights alone, half precision, for export and fine-tuning: no optimiser, no path of this machine.

    :raises ExportError: ``best`` is not there.
    """
    if not best.is_file():
        raise ExportError(f"{best}: no such file", hint="no epoch was finished; train again")
    content = torch.load(str(best), map_location="cpu", weights_only=False)
    save_network(content.get("ema") or content["model"], out, provenance=provenance, version=content.get("version"))


def save_network(network: Any, out: Path, *, provenance: dict[str, Any], version: str | None) -> None:
    """A network as ``source.pt``: half precision, with where it comes from; ``version`` is ultralytics'.

    :raises ExportError: the disk refuses.
    """
    network = network.half()
    plain = {"imgsz": provenance["imgsz"], "task": "detect", "single_cls": False, "model": "source.pt", "data": None}
    network.args = plain
    network.criterion = None
    network.pt_path = None
    for key in ("yaml_file", "data"):
        network.yaml.pop(key, None)
    fresh = out.with_name(f".{out.name}")
    try:
        torch.save(
            {
                "epoch": -1,
                "model": network,
                "train_args": plain,
                "provenance": provenance,
                "version": version,
                "license": "AGPL-3.0 (https://ultralytics.com/license)",
            },
            str(fresh),
        )
        fresh.replace(out)
    except (OSError, RuntimeError) as error:  # torch says of a full disk that a position is unexpected
        fresh.unlink(missing_ok=True)
        raise ExportError(f"{out}: cannot be written: {error}", hint="check free space and permissions") from error


def write_list(path: Path, split: Dataset) -> Path:
    """The split's images, a path a line, as ultralytics reads them; returns ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not resolved: labels lie beside the path by which the image was found.
    path.write_text("".join(f"{image.path.absolute()}\n" for image in split.images))
    return path


def write_data_yaml(path: Path, *, names: tuple[str, ...], train: Path, val: Path) -> None:
    """The data set with whole paths of folders or lists: ultralytics would look for relative ones elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    YAML.save(str(path), {"train": str(train.absolute()), "val": str(val.absolute()), "names": dict(enumerate(names))})
