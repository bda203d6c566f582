"""Train the embedded demo detector on rendered streets and export it to ONNX.

Needs PyTorch, numpy, opencv and onnx; takes minutes on a GPU. From the repository's root:

    PYTHONPATH=daemon:. python3 scripts/train_demo_model.py --scenes 12000 --minutes 6 --out framelane-demo.onnx

Stills are rendered into memory on all cores, letterboxed like in the daemon (centered, pad 114), kept on the
device as bytes, and augmented there. Scenes come from seeds that no clip, test or measurement uses.
"""

# ruff: noqa: PLR2004 - augmentation consists of plain proportions

from __future__ import annotations

import argparse
import copy
import math
import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from demo_model_net import DemoNet, Labels, detection_loss, export_onnx
from framelane.demo.scene import CLASS_NAMES, HELD_OUT_SEEDS, RENDERER_VERSION, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE_PX = 320
MOST_OBJECTS = 48
SIZES_WH = ((640, 480), (640, 480), (640, 360), (800, 600), (480, 640), (352, 288), (1024, 576))


@dataclass(frozen=True, slots=True)
class Stills:
    """Rendered images [N, S, S, 3] RGB bytes and their objects, padded to MOST_OBJECTS (class -1)."""

    images: NDArray[np.uint8]
    xyxy: NDArray[np.float32]
    classes: NDArray[np.int64]
    ignored: NDArray[np.bool_]


def letterbox(image_bgr: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float, tuple[int, int]]:
    """Return the centered RGB letterbox [S, S, 3], the scale, and the left and top border in pixels."""
    height, width = image_bgr.shape[:2]
    scale = IMAGE_PX / max(height, width)
    w, h = round(width * scale), round(height * scale)
    left, top = (IMAGE_PX - w) // 2, (IMAGE_PX - h) // 2
    boxed = np.full((IMAGE_PX, IMAGE_PX, 3), 114, np.uint8)
    boxed[top : top + h, left : left + w] = cv2.resize(image_bgr, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(boxed[..., ::-1]), scale, (left, top)


def render_scene(job: tuple[int, int]) -> Stills:
    """Render `count` stills of one scene at random moments: job is (seed, count)."""
    cv2.setNumThreads(1)
    seed, count = job
    rng = np.random.default_rng(seed)
    size_wh = SIZES_WH[int(rng.integers(len(SIZES_WH)))]
    scene = Scene(seed, size_wh=size_wh)
    stills = Stills(
        np.zeros((count, IMAGE_PX, IMAGE_PX, 3), np.uint8),
        np.zeros((count, MOST_OBJECTS, 4), np.float32),
        np.full((count, MOST_OBJECTS), -1, np.int64),
        np.zeros((count, MOST_OBJECTS), np.bool_),
    )
    for i in range(count):
        image, truth = scene.render(float(rng.uniform(0, scene.loop_s)))
        # Imitate a codec's loss.
        if rng.random() < 0.6:
            quality = int(rng.integers(25, 92))
            coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        stills.images[i], scale, border = letterbox(image)
        order = np.argsort(truth.ignore, kind="stable")[:MOST_OBJECTS]
        n = len(order)
        stills.xyxy[i, :n] = truth.xyxy[order] * scale + np.array(border * 2, np.float32)
        stills.classes[i, :n] = truth.class_id[order]
        stills.ignored[i, :n] = truth.ignore[order]
    return stills


def render_all(scenes: int, each: int, seed: int) -> Stills:
    """Render on all cores and print the progress."""
    first = HELD_OUT_SEEDS.stop + seed * 10_000_000
    jobs = [(first + i, each) for i in range(scenes)]
    started = time.monotonic()
    parts: list[Stills] = []
    with multiprocessing.get_context("spawn").Pool() as pool:
        for part in pool.imap_unordered(render_scene, jobs, chunksize=8):
            parts.append(part)
            if len(parts) % max(1, scenes // 10) == 0:
                rate = len(parts) * each / (time.monotonic() - started)
                print(f"rendered {len(parts) * each} stills, {rate:.0f}/s")
    return Stills(
        np.concatenate([p.images for p in parts]),
        np.concatenate([p.xyxy for p in parts]),
        np.concatenate([p.classes for p in parts]),
        np.concatenate([p.ignored for p in parts]),
    )


class Batches:
    """Random batches of stills on the device."""

    def __init__(self, stills: Stills, device: torch.device, batch: int) -> None:
        self.images = torch.from_numpy(stills.images).to(device)
        self.labels = Labels(
            torch.from_numpy(stills.xyxy).to(device),
            torch.from_numpy(stills.classes).to(device),
            torch.from_numpy(stills.ignored).to(device),
        )
        self.batch, self.device = batch, device

    def draw(self) -> tuple[Tensor, Labels]:
        """Return augmented images [B, 3, S, S] RGB 0..1 and their labels."""
        pick = torch.randint(len(self.images), (self.batch,), device=self.device)
        images = self.images[pick].permute(0, 3, 1, 2).float() / 255
        labels = Labels(*(part[pick] for part in self.labels))
        flip = torch.rand(self.batch, device=self.device) < 0.5
        images = torch.where(flip[:, None, None, None], images.flip(3), images)
        mirrored = IMAGE_PX - labels.xyxy[..., [2, 1, 0, 3]]
        mirrored[..., [1, 3]] = labels.xyxy[..., [1, 3]]
        xyxy = torch.where(flip[:, None, None], mirrored, labels.xyxy)
        return recolor(images), Labels(xyxy, labels.classes, labels.ignored)


def recolor(images: Tensor) -> Tensor:
    """Vary exposure, contrast, saturation, white balance and grain of images [B, 3, H, W]."""
    n, device = len(images), images.device

    def vary(channels: int, spread: float) -> Tensor:
        return 1 + (torch.rand(n, channels, 1, 1, device=device) * 2 - 1) * spread

    images = images.clamp(min=1e-4) ** vary(1, 0.25)
    gray = images.mean(1, keepdim=True)
    images = gray + (images - gray) * vary(1, 0.45)
    images = (images - 0.45) * vary(1, 0.2) + 0.45
    images = images * vary(3, 0.06) * vary(1, 0.15)
    grain = torch.rand(n, 1, 1, 1, device=device) * 0.025
    return (images + torch.randn_like(images) * grain).clamp(0, 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """Length and rate of training; it ends at `steps` or after `minutes`, whichever comes first."""

    steps: int
    minutes: float
    batch: int
    rate: float = 3e-3
    warmup: int = 300


def train(net: DemoNet, batches: Batches, plan: Plan, device: torch.device) -> DemoNet:
    """Train with AdamW on a cosine schedule; return the exponential moving average of the weights."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.99))
    average: DemoNet = copy.deepcopy(net).eval()
    started = time.monotonic()
    for step in range(plan.steps):
        elapsed = (time.monotonic() - started) / 60
        done = max(step / plan.steps, elapsed / plan.minutes)
        if done >= 1:
            break
        rate = (
            plan.rate
            * min(1.0, (step + 1) / plan.warmup)
            * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
        )
        for group in optimiser.param_groups:
            group["lr"] = rate
        images, labels = batches.draw()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            raw = net(images.contiguous(memory_format=torch.channels_last))
        loss, class_loss, box_loss = detection_loss(net, raw.float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optimiser.step()
        _follow(average, net, min(0.9995, (step + 1) / (step + 20)))
        if step % max(1, plan.steps // 60) == 0 or step == 100:
            print(
                f"{elapsed:5.2f} min  step {step}  class {class_loss:.3f}  box {box_loss:.3f}  rate {rate:.5f}"
            )
    return average


@torch.no_grad()  # type: ignore[untyped-decorator]
def _follow(average: DemoNet, net: DemoNet, keep: float) -> None:
    """Move the average's weights and norm statistics toward the net's."""
    old = [t for t in average.state_dict().values() if t.is_floating_point()]
    new = [t for t in net.state_dict().values() if t.is_floating_point()]
    torch._foreach_lerp_(old, new, 1 - keep)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=12_000)
    parser.add_argument("--each", type=int, default=5, help="stills per scene")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--minutes", type=float, default=6.0, help="longest time for the steps")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("framelane-demo.onnx"))
    return parser.parse_args()


def main() -> None:
    """Render, train, export."""
    args = parse_args()
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    stills = render_all(args.scenes, args.each, args.seed)
    counted = (stills.classes >= 0) & ~stills.ignored
    print("objects to find by class:", np.bincount(stills.classes[counted], minlength=len(CLASS_NAMES)))
    net = DemoNet(IMAGE_PX).to(device).to(memory_format=torch.channels_last)
    plan = Plan(args.steps, args.minutes, args.batch)
    average = train(net, Batches(stills, device, args.batch), plan, device)
    torch.save(average.state_dict(), args.out.with_suffix(".pt"))
    command = f"train_demo_model.py --scenes {args.scenes} --each {args.each} --steps {args.steps}"
    command += f" --minutes {args.minutes:g} --batch {args.batch} --seed {args.seed}"
    metadata = {
        "names": str(dict(enumerate(CLASS_NAMES))),
        "imgsz": str([IMAGE_PX, IMAGE_PX]),
        "stride": "32",
        "task": "detect",
        "author": "Framelane",
        "license": "Apache-2.0",
        "description": "Framelane's demo detector, trained only on its own rendered streets",
        "seed": str(args.seed),
        "provenance": f"{command}; renderer {RENDERER_VERSION}; torch {torch.__version__} on {device.type}",
    }
    export_onnx(average, str(args.out), metadata, IMAGE_PX)
    print("wrote", args.out, args.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
