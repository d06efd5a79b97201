"""From a frame to boxes: letterbox, inference, decode, NMS. Shared with the export tooling, so that figures agree."""
