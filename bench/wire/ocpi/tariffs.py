"""Tariffs and money on the wire, in the words of each version. Sans I/O.

2.2.1 has prices before VAT and `Price {excl_vat, incl_vat}`; 2.3.0 says by `tax_included` what a price holds, and has
`Price {before_taxes, taxes[]}` and `PriceLimit`. Source: mod_tariffs and types of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from bench.domain.tariff_cost import Amount

_DIGITS: Final = Decimal("0.0001")
"""A number of OCPI has four decimals."""


def number(value: Decimal) -> float:
    """Return a decimal as OCPI's number: four decimals at most."""
    return float(value.quantize(_DIGITS, ROUND_HALF_UP))


def price(amount: Amount, version: str) -> dict[str, Any]:
    """Return a Price."""
    if version == "2.2.1":
        return {"excl_vat": number(amount.before_taxes), "incl_vat": number(amount.after_taxes)}
    taxes = [{"name": "VAT", "percentage": number(rate), "amount": number(tax)} for rate, tax in amount.taxes]
    return {"before_taxes": number(amount.before_taxes)} | ({"taxes": taxes} if taxes else {})


def tariff_as(tariff: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return a Tariff of 2.3.0 as a version has it."""
    if version != "2.2.1":
        return dict(tariff)
    included = tariff.get("tax_included")
    found = {name: value for name, value in tariff.items() if name not in ("tax_included", "min_price", "max_price")}
    for name in ("min_price", "max_price"):
        if (limit := tariff.get(name)) is not None:
            after = {"incl_vat": limit["after_taxes"]} if "after_taxes" in limit else {}
            found[name] = {"excl_vat": limit["before_taxes"], **after}
    found["elements"] = [
        {**one, "price_components": [_before_vat(part, included) for part in one["price_components"]]}
        for one in tariff["elements"]
    ]
    return found


def _before_vat(component: Mapping[str, Any], included: object) -> dict[str, Any]:
    found = dict(component)
    if included == "N/A":
        found.pop("vat", None)
    elif included == "YES" and found.get("vat"):
        found["price"] = number(Decimal(str(found["price"])) / (1 + Decimal(str(found["vat"])) / 100))
    return found
