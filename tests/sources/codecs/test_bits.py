"""Numbers of NAL units, bit by bit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.codecs.bit_strings import escaped, packed, se, u, ue

from framelane.sources.codecs.bits import Bits


def test_u_reads_numbers_in_order_when_they_cross_bytes() -> None:
    bits = Bits(b"\x67" + packed("1", "0110", "11110000111", "0"))
    assert [bits.u(count) for count in (1, 4, 11, 1)] == [0b1, 0b0110, 0b11110000111, 0]


def test_u_returns_zero_and_moves_nothing_when_no_bits_are_asked_for() -> None:
    bits = Bits(b"\x67\x80")
    assert (bits.u(0), bits.u(1)) == (0, 1)


@pytest.mark.parametrize(
    ("code", "number"),
    [("1", 0), ("010", 1), ("011", 2), ("00100", 3), ("00111", 6), ("0001000", 7), ("0" * 8 + "1" * 9, 510)],
)
def test_ue_reads_the_codes_of_the_standard(code: str, number: int) -> None:
    assert number == Bits(b"\0" + packed(code)).ue()


@pytest.mark.parametrize(
    ("code", "number"), [("1", 0), ("010", 1), ("011", -1), ("00100", 2), ("00101", -2), ("00110", 3)]
)
def test_se_reads_the_codes_of_the_standard(code: str, number: int) -> None:
    assert number == Bits(b"\0" + packed(code)).se()


@given(
    st.lists(
        st.one_of(
            st.integers(0, (1 << 32) - 2).map(lambda n: (False, n)),
            st.integers(-(1 << 31) + 1, (1 << 31) - 1).map(lambda n: (True, n)),
        ),
        max_size=9,
    )
)
def test_codes_come_back_when_they_follow_each_other(numbers: list[tuple[bool, int]]) -> None:
    data = packed(*(se(number) if signed else ue(number) for signed, number in numbers))
    bits = Bits(b"\x42\x01" + escaped(data), 2)
    assert numbers == [(signed, bits.se() if signed else bits.ue()) for signed, _ in numbers]


def test_emulation_prevention_bytes_are_left_out_when_zeros_come_again_and_again() -> None:
    data = b"\0\0\1\0\0\0\0\3\0\0\2"
    bits = Bits(b"\x67" + escaped(data))
    assert list(data) == [bits.u(8) for _ in data]
    with pytest.raises(ValueError, match="ends here"):
        bits.u(1)


@pytest.mark.parametrize(("header_bytes", "expected"), [(1, 0x01), (2, 0x80)])
def test_header_is_passed_when_it_has_one_or_two_bytes(header_bytes: int, expected: int) -> None:
    assert expected == Bits(b"\x42\x01\x80", header_bytes).u(8)


def test_u_raises_when_the_unit_has_one_bit_too_few() -> None:
    bits = Bits(b"\x67\xff")
    assert bits.u(7) == 0x7F
    with pytest.raises(ValueError, match="the NAL unit ends here"):
        bits.u(2)


@pytest.mark.parametrize("nal", [b"", b"\x67", b"\x67\0", b"\x67\0\0\0\0"])
def test_ue_raises_when_the_code_does_not_end(nal: bytes) -> None:
    with pytest.raises(ValueError, match="the NAL unit ends here"):
        Bits(nal).ue()


def test_ue_reads_no_more_than_32_zeros_when_the_data_is_damaged() -> None:
    bits = Bits(b"\x67" + packed("0" * 32, u(5, 32), "1"))
    assert (bits.ue(), bits.u(1)) == ((1 << 32) - 1 + 5, 1)
