"""The experiments of the Pastry papers, run with the product's own routing and overlay code."""
