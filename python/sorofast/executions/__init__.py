"""What lands: executions, the records that bind envelopes to them, and the ways they end. Values only."""
