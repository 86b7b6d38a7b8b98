"""What a report shows beside the effects, each part from the tables of `analysis.ab.measures`."""
