"""A page for `dvc plots show` and `dvc plots diff` that needs no network: its scripts lie in it.

    python -m scripts.plots_page    # write .dvc/plots-page.html, and make DVC use it

DVC's own page loads Vega from a CDN. The file is made on each machine, since it is 900 kB of
Vega; the setting goes into .dvc/config.local, so that a clone without it works as DVC does.
"""

import subprocess
import sys
from pathlib import Path

from pipeline.core.atomic import write_text
from pipeline.core.errors import InstallationError
from pipeline.core.process import guarded

NAME = "scripts.plots_page"
PAGE = Path(".dvc/plots-page.html")
SCHEMA = "5."  # the Vega-Lite that DVC's templates are written in
HTML = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>DVC plots</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem }
table { border-spacing: 15px }
</style>
<script>
SCRIPTS
</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""
"""What DVC replaces stands in braces; the order of its replacements leaves the scripts alone."""


def page() -> str:
    """Return the template.

    Raises:
        InstallationError: the package that holds Vega is missing.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise InstallationError(
            "vl-convert-python is not installed, so dvc plots loads its scripts from the network; "
            "run: make setup"
        ) from error
    newest = [v for v in vl_convert.get_vegalite_versions() if v.startswith(SCHEMA)][-1]
    scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=newest)
    return HTML.replace("SCRIPTS", scripts.replace("</script", "<\\/script"))


def main() -> None:
    """Write the template and set it."""
    write_text(PAGE, page())
    subprocess.run(
        [sys.executable, "-m", "dvc", "config", "--local", "plots.html_template", PAGE.name],
        check=True,
    )
    print(f"{PAGE}: dvc plots show needs no network now")


if __name__ == "__main__":
    sys.exit(guarded(main, name=NAME))
