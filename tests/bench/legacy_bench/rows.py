"""The table: what a document claims, and what both sides did."""
import dataclasses
import statistics

SAME = 0.03  # times that differ by less are told as the same


@dataclasses.dataclass
class Cell:
    number: float
    text: str
    p95: float = 0


@dataclasses.dataclass
class Row:
    system: str
    what: str
    claimed: str
    cells: dict  # "in-app" and "larder"
    is_time: bool = False
    is_higher_better: bool = False

    @property
    def verdict(self):
        own, ours = self.cells["in-app"].number, self.cells["larder"].number
        if own == ours or self.is_time and abs(own - ours) <= SAME * max(own, ours):
            return "same" + self.tail
        better, ratio = (ours > own, ours / own if own else 0) if self.is_higher_better else (
            ours < own, own / ours if ours else 0)
        return f"{'yes' if better else '**no**'}{', %.3g×' % ratio if ratio else ''}{self.tail}"

    @property
    def tail(self):
        """A worse p95 is told, whatever the median."""
        return "; p95 **no**" if self.cells["larder"].p95 > self.cells["in-app"].p95 * (1 + SAME) else ""


def ms(value):
    return f"{value:.0f} ms" if value >= 100 else f"{value:.3g} ms"


def times_cell(times):
    """With a p95, where there are enough for one."""
    middle = statistics.median(times)
    if len(times) < 20:
        return Cell(middle, ms(middle))
    p95 = statistics.quantiles(times, n=20, method="inclusive")[-1]
    return Cell(middle, f"{ms(middle)} (p95 {ms(p95)})", p95)


def times_row(system, what, claimed, times):
    return Row(system, what, claimed, {side: times_cell(t) for side, t in times.items()}, is_time=True)


def time_row(system, what, claimed, values):
    return Row(system, what, claimed, {side: Cell(v, ms(v)) for side, v in values.items()}, is_time=True)


def count_row(system, what, claimed, values, text="{}"):
    return Row(system, what, claimed, {side: Cell(v, text.format(v)) for side, v in values.items()})


def share_row(system, what, claimed, shares):
    return Row(system, what, claimed, {side: Cell(v, f"{100 * v:.1f} %") for side, v in shares.items()},
               is_higher_better=True)


def table(rows):
    lines = ["| system | what | claimed | in-app cache | larder | better |", "| --- | --- | --- | --- | --- | --- |"]
    for row in rows:
        lines.append(f"| {row.system} | {row.what} | {row.claimed} | {row.cells['in-app'].text} | "
                     f"{row.cells['larder'].text} | {row.verdict} |")
    return "\n".join(lines)
