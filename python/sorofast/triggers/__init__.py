"""What falls due. The engine asks a source, and tells it how each execution ended; never the other way round."""
