"""Statistics of the notebook `penultimate_layer` (paper, sections 4.3 and 5, figures 5 and 7)."""

from pandas import DataFrame

from ...claims.registry import Statistic, Tables, statistic
from ...claims.rows import at, difference, each_seed, paired, rank_correlations, ratio, teacher_ratio

DEFAULT = "default"
PRINTED = ("4096x50", "8192x40")  # the paper's settings of the large teacher, batch size x epochs


@statistic
def nc1_ratio(tables: Tables) -> Statistic:
    """Within- over between-class scatter of training activations, small teacher over large."""
    return each_seed(_default(tables, "train"), lambda rows: teacher_ratio(rows, "nc1"))


@statistic
def nc1_ratio_held_out(tables: Tables) -> Statistic:
    """Within- over between-class scatter of validation activations, small teacher over large."""
    return each_seed(_default(tables, "validation"), lambda rows: teacher_ratio(rows, "nc1"))


@statistic
def silhouette_difference(tables: Tables) -> Statistic:
    """Silhouette of training activations, large teacher minus small."""
    return each_seed(_default(tables, "train"), lambda rows: difference(rows, "silhouette", "large", "small"))


@statistic
def correlation_of_nc1_with_entropy(tables: Tables) -> Statistic:
    """Rank correlation over a seed's (teacher, setting) pairs of nc1 and the mean training entropy at T = 9."""
    tightness = at(tables["penultimate_layer"]["tightness"], split="train")
    return rank_correlations(tightness, lambda rows: [[paired(rows["nc1"], rows["entropy"])]])


@statistic
def nc1_ratio_first_setting_to_default(tables: Tables) -> Statistic:
    """nc1 of the large teacher at 4096 x 50 over that by default; without that setting, the smaller batch size's."""
    return _nc1_ratio_of_settings(tables, settings_of_large(tables["penultimate_layer"]["tightness"])[0], DEFAULT)


@statistic
def nc1_ratio_second_setting_to_default(tables: Tables) -> Statistic:
    """nc1 of the large teacher at 8192 x 40 over that by default; without that setting, the larger batch size's."""
    return _nc1_ratio_of_settings(tables, settings_of_large(tables["penultimate_layer"]["tightness"])[1], DEFAULT)


@statistic
def nc1_ratio_of_the_two_settings(tables: Tables) -> Statistic:
    """nc1 of the large teacher at 8192 x 40 over that at 4096 x 50; on a clipped grid, second over first setting."""
    first, second = settings_of_large(tables["penultimate_layer"]["tightness"])
    return _nc1_ratio_of_settings(tables, second, first)


@statistic
def silhouette_lost_at_the_first_setting(tables: Tables) -> Statistic:
    """Silhouette of the large teacher's training activations, by default minus at 4096 x 50, or what stands for it."""
    return _silhouette_lost(tables, settings_of_large(tables["penultimate_layer"]["tightness"])[0])


@statistic
def silhouette_lost_at_the_second_setting(tables: Tables) -> Statistic:
    """Silhouette of the large teacher's training activations, by default minus at 8192 x 40, or what stands for it."""
    return _silhouette_lost(tables, settings_of_large(tables["penultimate_layer"]["tightness"])[1])


def settings_of_large(tightness: DataFrame) -> tuple[str | None, str | None]:
    """The two settings that stand for the paper's: those it names, else the first two in order of batch size."""
    settings = sorted(
        set(at(tightness, teacher="large")["setting"]) - {DEFAULT}, key=lambda name: tuple(map(int, name.split("x")))
    )
    if set(PRINTED) <= set(settings):
        return PRINTED
    first, second, *_ = (*settings, None, None)
    return first, second


def _default(tables: Tables, split: str) -> DataFrame:
    return at(tables["penultimate_layer"]["tightness"], setting=DEFAULT, split=split)


def _silhouette_lost(tables: Tables, setting: str | None) -> Statistic:
    tightness = at(tables["penultimate_layer"]["tightness"], teacher="large", split="train")

    def of(rows: DataFrame, name: str | None) -> float:
        return at(rows, setting=name)["silhouette"].mean()

    return each_seed(tightness, lambda rows: of(rows, DEFAULT) - of(rows, setting))


def _nc1_ratio_of_settings(tables: Tables, setting: str | None, to: str | None) -> Statistic:
    tightness = at(tables["penultimate_layer"]["tightness"], teacher="large", split="train")
    ratios = each_seed(
        tightness,
        lambda rows: ratio(at(rows, setting=setting)["nc1"].mean(), at(rows, setting=to)["nc1"].mean()),
    )
    if ratios.values.isna().all():
        return ratios
    updates = (at(tightness, setting=s)["updates"].iloc[0] for s in (setting, to))
    settings = [s for s in (to, setting) if s != DEFAULT]
    here, printed = (" and ".join(s.replace("x", " × ") for s in group) for group in (settings, PRINTED))
    return ratios.noted(
        "teachers of {:,} and {:,} updates".format(*updates),
        f"batch size × epochs here {here}, in the paper {printed}" * (not {*settings} <= {*PRINTED}),
    )
