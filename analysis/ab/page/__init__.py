"""The A/B report as one HTML file: `page` gives the template the report and its `figures`."""
