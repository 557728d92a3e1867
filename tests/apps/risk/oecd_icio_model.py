"""The OECD's inter-country input-output tables as a risk model, in small. Its coefficients are looked up slowly, and
kept in a dictionary until the app ends: that is no HTTP, and stays as it is."""
import os
import time
import zlib

ASSESSMENT_S = 6.936
RISKS = ("climate", "modern_slavery", "political", "water_stress")


class OECDICIOModel:
    name = "oecd"
    COEFFICIENTS_MAX = 100_000
    SUPPLIERS = (("CHN", "C10T12"), ("DEU", "C29"), ("USA", "C20"))

    def __init__(self):
        self._coefficient_cache = {}
        self.lookups = 0

    def get_coefficient(self, from_country, from_sector, to_country, to_sector):
        key = (from_country, from_sector, to_country, to_sector)
        if key in self._coefficient_cache:
            return self._coefficient_cache[key]
        self.lookups += 1
        value = zlib.crc32("/".join((self.name, *key)).encode()) % 1000 / 1000
        if len(self._coefficient_cache) < self.COEFFICIENTS_MAX:
            self._coefficient_cache[key] = value
        return value

    def assess(self, country, sector):
        time.sleep(ASSESSMENT_S * float(os.environ.get("LEGACY_DELAY", "0.02")))
        tiers = [self.get_coefficient(*supplier, country, sector) for supplier in self.SUPPLIERS]
        base = zlib.crc32(f"{self.name}/{country}/{sector}".encode())
        return {"model": self.name, "country": country, "sector": sector,
                "risks": {risk: (base >> 8 * i) % 100 for i, risk in enumerate(RISKS)},
                "supply_chain": round(sum(tiers) / len(tiers), 6)}
