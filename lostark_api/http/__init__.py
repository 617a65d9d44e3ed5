"""HTTP mechanics that know no route: caching, responses, errors, parameters, language, metrics, API docs."""
