"""Resolve names as users write them, ``InputError`` or ``pp.tile_spots``, to the place where they are documented."""

import importlib

ELSEWHERE = {
    "anndata._core.anndata.AnnData": "anndata.AnnData",
    "spatialdata._core.spatialdata.SpatialData": "spatialdata.SpatialData",
    "matplotlib.axes._axes.Axes": "matplotlib.axes.Axes",
    "pandas.core.frame.DataFrame": "pandas.DataFrame",
    "pandas.core.series.Series": "pandas.Series",
}


def public_names() -> dict[str, str]:
    """From every short spelling, and from the private module where a thing is defined, to its public name."""
    import histodecon

    found = {name: f"histodecon.{name}" for name in histodecon.__all__}
    for name in histodecon.__all__:
        found[f"histodecon._core._errors.{name}"] = f"histodecon.{name}"
    for room in histodecon._ROOMS:
        module = importlib.import_module(f"histodecon.{room}")
        for name in module.__all__:
            full = f"histodecon.{room}.{name}"
            found[f"{room}.{name}"] = full
            thing = getattr(module, name)
            if isinstance(thing, type):
                found[name] = found[f"{thing.__module__}.{name}"] = full
    return found


def resolve(app, env, node, contnode):
    if node.get("refdomain") != "py":
        return None
    target = app.histodecon_names.get(node["reftarget"]) or ELSEWHERE.get(node["reftarget"])
    if target is None:
        return None
    domain = env.get_domain("py")
    found = domain.resolve_any_xref(env, node["refdoc"], app.builder, target, node, contnode)
    if found:
        return found[0][1]
    node["reftarget"] = target  # intersphinx may know it
    return None


def setup(app) -> dict[str, bool]:
    app.histodecon_names = public_names()
    app.connect("missing-reference", resolve, priority=400)
    return {"parallel_read_safe": True}
