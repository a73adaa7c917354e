"""Where images come from: presets, fetching, archives, folders, drawn images."""
