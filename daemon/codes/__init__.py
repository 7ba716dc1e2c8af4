"""What carriers' codes mean: the status code table and its look-up."""
