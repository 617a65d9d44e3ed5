"""Play styles: clusters within a spec, their names, pages and map."""
