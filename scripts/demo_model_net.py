"""The demo detector: a small anchor-free network, its task-aligned loss and its ONNX export.

Sources: FPN (arXiv 1612.03144), FCOS distances (1904.01355), task-aligned assignment (TOOD, 2108.07755),
CIoU (1911.08287), spatial pyramid pooling (1406.4729).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

STRIDES = (8, 16, 32)
CLASSES = 3


class ConvNorm(nn.Module):  # type: ignore[misc]
    """Convolution, batch norm and ReLU; `fuse` folds the norm into the convolution for export."""

    def __init__(self, c_in: int, c_out: int, size: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, size, stride, size // 2, groups=groups, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, c_in, H, W] to [N, c_out, H/stride, W/stride]."""
        return F.relu(self.norm(self.conv(x)))

    def fuse(self) -> None:
        """Fold the batch norm's running statistics into the convolution."""
        norm = self.norm
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_var is None or norm.running_mean is None:
            return
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.conv.weight = nn.Parameter(self.conv.weight * gain[:, None, None, None])
        self.conv.bias = nn.Parameter(norm.bias - norm.running_mean * gain)
        self.norm = nn.Identity()


class HalfResidual(nn.Module):  # type: ignore[misc]
    """Refine half of the channels by 3x3 convolutions with a skip, then mix both (cross-stage partial)."""

    def __init__(self, channels: int, depth: int = 2) -> None:
        super().__init__()
        half = channels // 2
        self.refine = nn.Sequential(*[ConvNorm(half, half) for _ in range(depth)])
        self.mix = ConvNorm(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        kept, work = x.chunk(2, dim=1)
        return self.mix(torch.cat([kept, work + self.refine(work)], dim=1))


class Pyramid(nn.Module):  # type: ignore[misc]
    """Spatial pyramid pooling by three 5x5 maxima in a row."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = ConvNorm(channels, channels // 2, 1)
        self.mix = ConvNorm(channels * 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to the same shape."""
        levels = [self.enter(x)]
        for _ in range(3):
            levels.append(F.max_pool2d(levels[-1], 5, 1, 2))
        return self.mix(torch.cat(levels, dim=1))


def _separable(channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        ConvNorm(channels, channels, 3, stride, groups=channels), ConvNorm(channels, channels, 1)
    )


class Head(nn.Module):  # type: ignore[misc]
    """Class logits and edge distances of one level: a shared convolution, then one branch for each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shared = _separable(channels)
        self.to_class = nn.Conv2d(channels, CLASSES, 1)
        self.to_edge = nn.Conv2d(channels, 4, 1)
        self.class_branch, self.edge_branch = _separable(channels), _separable(channels)
        nn.init.constant_(self.to_class.bias, math.log(0.01 / 0.99))
        nn.init.constant_(self.to_edge.bias, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, 4 + CLASSES, H * W]: raw distances (left, top, right, bottom), then logits."""
        x = self.shared(x)
        edges, classes = self.to_edge(self.edge_branch(x)), self.to_class(self.class_branch(x))
        return torch.cat([edges, classes], dim=1).flatten(2)


class DemoNet(nn.Module):  # type: ignore[misc]
    """Backbone, two-way feature pyramid and heads; about 0.65 million parameters."""

    def __init__(self, image_px: int = 320, neck: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNorm(3, 16, 3, 2), ConvNorm(16, 16, 3, 2))
        self.c3 = nn.Sequential(ConvNorm(16, 64, 3, 2), HalfResidual(64))
        self.c4 = nn.Sequential(ConvNorm(64, 96, 3, 2), HalfResidual(96))
        self.c5 = nn.Sequential(ConvNorm(96, 128, 3, 2), HalfResidual(128), Pyramid(128))
        self.lateral = nn.ModuleList([ConvNorm(c, neck, 1) for c in (64, 96, 128)])
        # Outputs at 1/8 and 1/16.
        self.top_down = nn.ModuleList([HalfResidual(neck, 1), HalfResidual(neck)])
        self.down = nn.ModuleList([_separable(neck, 2), _separable(neck, 2)])
        # Outputs at 1/16 and 1/32.
        self.bottom_up = nn.ModuleList([HalfResidual(neck), HalfResidual(neck)])
        self.heads = nn.ModuleList([Head(neck) for _ in STRIDES])
        points, strides = anchor_points(image_px)
        self.register_buffer("points", points, persistent=False)
        self.register_buffer("strides", strides, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map RGB/255 [N, 3, S, S] to raw predictions [N, 4 + CLASSES, A]."""
        c3 = self.c3(self.stem(images))
        c4 = self.c4(c3)
        p5 = self.lateral[2](self.c5(c4))
        p4 = self.top_down[1](self.lateral[1](c4) + F.interpolate(p5, scale_factor=2.0))
        p3 = self.top_down[0](self.lateral[0](c3) + F.interpolate(p4, scale_factor=2.0))
        p4 = self.bottom_up[0](p4 + self.down[0](p3))
        p5 = self.bottom_up[1](p5 + self.down[1](p4))
        return torch.cat([head(p) for head, p in zip(self.heads, (p3, p4, p5), strict=True)], dim=2)

    def boxes(self, raw: Tensor) -> Tensor:
        """Turn raw distances [N, 4, A] into xyxy input pixels [N, 4, A]."""
        distance = F.softplus(raw) * self.strides
        return torch.cat([self.points - distance[:, :2], self.points + distance[:, 2:]], dim=1)


class Exported(nn.Module):  # type: ignore[misc]
    """The network with the output of the Ultralytics v8 layout."""

    def __init__(self, net: DemoNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """Return [N, 4 + CLASSES, A]: cx, cy, w, h in input pixels, then class scores."""
        raw = self.net(images)
        distance = F.softplus(raw[:, :4]) * self.net.strides
        near, far = distance[:, :2], distance[:, 2:]
        return torch.cat([self.net.points + (far - near) / 2, far + near, raw[:, 4:].sigmoid()], dim=1)


def anchor_points(image_px: int) -> tuple[Tensor, Tensor]:
    """Return cell centers [1, 2, A] and strides [1, 1, A] in input pixels, level by level, row by row."""
    points, strides = [], []
    for stride in STRIDES:
        axis = (torch.arange(image_px // stride) + 0.5) * stride
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        points.append(torch.stack([x.flatten(), y.flatten()]))
        strides.append(torch.full((1, x.numel()), float(stride)))
    return torch.cat(points, dim=1)[None], torch.cat(strides, dim=1)[None]


class Labels(NamedTuple):
    """Objects padded to M, ignored ones last: xyxy pixels [N, M, 4], class (-1 pads) and ignored [N, M]."""

    xyxy: Tensor
    classes: Tensor
    ignored: Tensor


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU [...] of xyxy boxes [..., 4] (broadcast)."""
    width = (torch.minimum(a[..., 2], b[..., 2]) - torch.maximum(a[..., 0], b[..., 0])).clamp(min=0)
    height = (torch.minimum(a[..., 3], b[..., 3]) - torch.maximum(a[..., 1], b[..., 1])).clamp(min=0)
    inter = width * height
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return inter / (area_a + area_b - inter + 1e-7)


def complete_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the complete IoU (CIoU) [...] of xyxy boxes [..., 4]."""
    iou = overlap(a, b)
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    gap = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).square().sum(-1)
    angle_a = torch.atan(size_a[..., 0] / (size_a[..., 1] + 1e-7))
    angle_b = torch.atan(size_b[..., 0] / (size_b[..., 1] + 1e-7))
    shape = (4 / math.pi**2) * (angle_a - angle_b).square()
    with torch.no_grad():
        weight = shape / (1 - iou + shape + 1e-7)
    return iou - gap / (hull.square().sum(-1) + 1e-7) - weight * shape


def _contains(xyxy: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Return which anchors [N, M, A] lie in a box [N, M, 4], with boxes widened to at least 1.5 strides."""
    reach, middle = (xyxy[..., 2:] - xyxy[..., :2]) / 2, (xyxy[..., 2:] + xyxy[..., :2]) / 2
    near = [
        (points[:, i] - middle[..., i, None]).abs() < torch.maximum(reach[..., i, None], strides * 0.75)
        for i in (0, 1)
    ]
    return near[0] & near[1]


class Assigned(NamedTuple):
    """The targets of A anchors: object [N, A] or -1, soft class targets and loss mask [N, A, C]."""

    owner: Tensor
    targets: Tensor
    counted: Tensor


@torch.no_grad()  # type: ignore[untyped-decorator]
def assign(boxes: Tensor, scores: Tensor, points: Tensor, strides: Tensor, labels: Labels) -> Assigned:
    """Give each object its 10 best anchors inside by score^0.5 * IoU^6 (TOOD); each anchor gets one object.

    boxes [N, A, 4], scores [N, A, C], points [A, 2], strides [A].
    """
    wanted = (labels.classes >= 0) & ~labels.ignored
    # Ignored objects come last, so the large tensors leave them out.
    most = max(1, int(wanted.sum(1).max()))
    xyxy, classes = labels.xyxy[:, :most], labels.classes[:, :most].clamp(min=0)
    inside = _contains(xyxy, points, strides) & wanted[:, :most, None]
    iou = overlap(xyxy[:, :, None], boxes[:, None])
    own = scores.transpose(1, 2).gather(1, classes[..., None].expand(-1, -1, scores.shape[1]))
    metric = (own.sqrt() * iou.pow(6) + 1e-9) * inside
    best = metric.topk(10, dim=-1)
    chosen = torch.zeros_like(metric).scatter_(-1, best.indices, 1.0) * inside
    owner_iou = torch.where(chosen > 0, iou + 1e-6, -1.0)
    # Shape [N, A].
    strongest, owner = owner_iou.max(dim=1)
    positive = strongest > 0
    mine = F.one_hot(owner, most).transpose(1, 2) * positive[:, None]
    metric, iou = metric * mine, iou * mine
    level = metric / (metric.amax(-1, keepdim=True) + 1e-9) * iou.amax(-1, keepdim=True)
    # Shape [N, A].
    soft = level.amax(dim=1)
    targets = F.one_hot(classes.gather(1, owner), CLASSES) * (soft * positive)[..., None]
    unsure = _contains(labels.xyxy, points, strides) & ((labels.classes >= 0) & labels.ignored)[..., None]
    skipped = torch.einsum(
        "nma,nmc->nac", unsure.float(), F.one_hot(labels.classes.clamp(min=0), CLASSES).float()
    )
    return Assigned(torch.where(positive, owner, -1), targets, (skipped == 0) | (targets > 0))


def detection_loss(net: DemoNet, raw: Tensor, labels: Labels) -> tuple[Tensor, Tensor, Tensor]:
    """Return the total loss, and its class and box parts for the log; `raw` [N, 4 + C, A] in float32."""
    boxes = net.boxes(raw[:, :4]).transpose(1, 2)
    logits = raw[:, 4:].transpose(1, 2)
    found = assign(boxes.detach(), logits.detach().sigmoid(), net.points[0].T, net.strides[0, 0], labels)
    total = found.targets.sum().clamp(min=1.0)
    scores = logits.detach().sigmoid()
    focus = torch.where(found.targets > 0, torch.ones_like(scores), 0.75 * scores.pow(1.5) + 0.02)
    bce = F.binary_cross_entropy_with_logits(logits, found.targets, reduction="none")
    class_loss = (bce * focus * found.counted).sum() / total
    positive = found.owner >= 0
    target = labels.xyxy.gather(1, found.owner.clamp(min=0)[..., None].expand(-1, -1, 4))[positive]
    weight = found.targets.sum(-1)[positive]
    predicted = boxes[positive]
    box_loss = ((1 - complete_overlap(predicted, target)) * weight).sum() / total
    size = (target[:, 2:] - target[:, :2]).mean(-1, keepdim=True).clamp(min=4)
    edge_loss = (((predicted - target).abs() / size).mean(-1) * weight).sum() / total
    return class_loss + 5.0 * box_loss + 3.0 * edge_loss, class_loss.detach(), box_loss.detach()


def export_onnx(net: DemoNet, path: str, metadata: dict[str, str], image_px: int = 320) -> None:
    """Fold batch norms and write the float32 ONNX, batch dynamic, with its metadata."""
    import onnx  # noqa: PLC0415 - wanted only here

    net = net.float().cpu().eval()
    for module in net.modules():
        if isinstance(module, ConvNorm):
            module.fuse()
    torch.onnx.export(
        Exported(net).eval(),
        (torch.zeros(1, 3, image_px, image_px),),
        path,
        input_names=["images"],
        output_names=["output0"],
        dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
