"""Labels in ONVIF's words: `tt:ObjectType` (ONVIF schema, metadatastream.xsd)."""

from __future__ import annotations

_LABELS = {
    "Human": ("person", "people", "human", "pedestrian"),
    "HumanFace": ("face", "human face"),
    "LicensePlate": ("plate", "license plate", "licence plate", "number plate"),
    "Bicycle": ("bicycle",),
    "Bike": ("motorcycle", "motorbike", "scooter"),
    "Vehicle": ("vehicle", "car", "truck", "bus", "van", "train", "airplane", "boat"),
    "Animal": (
        "animal", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe",
    ),
    "Barcode": ("barcode", "qr code"),
    "Fire": ("fire",),
    "Smoke": ("smoke",),
}  # fmt: skip
_TYPES = {label: kind for kind, labels in _LABELS.items() for label in labels}


def class_type(label: str) -> str:
    """Return ONVIF's type of a label, or the label itself without spaces, since lists are separated by them."""
    words = label.replace("_", " ").replace("-", " ").lower().split()
    return _TYPES.get(" ".join(words)) or "_".join(label.split()) or "Other"
