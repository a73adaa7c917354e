"""From bytes to pixels, and from pixels to the network's input size."""
