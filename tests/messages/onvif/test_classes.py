from __future__ import annotations

import pytest

from framelane.messages.onvif.classes import class_type


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("person", "Human"),
        ("Person", "Human"),
        ("car", "Vehicle"),
        ("license_plate", "LicensePlate"),
        ("License Plate", "LicensePlate"),
        ("motorcycle", "Bike"),
        ("traffic light", "traffic_light"),
        ("  odd\tlabel ", "odd_label"),
        ("Fußgänger", "Fußgänger"),
        ("-", "-"),
        (" ", "Other"),
    ],
)
def test_class_type_is_onvifs_or_a_word_of_a_list(label: str, expected: str) -> None:
    assert expected == class_type(label)
