"""Parts of a node that do one thing wrong each; `simulation.defects` names them."""
