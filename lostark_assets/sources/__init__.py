"""Where battle logs come from: one module per source behind one protocol."""
