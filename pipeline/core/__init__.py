"""What every stage needs: errors, params, paths, artifacts, atomic writes."""
