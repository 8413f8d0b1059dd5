"""The benchmark harness of gnn-explainer-bench, run from a checkout."""
