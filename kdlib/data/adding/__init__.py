"""From what a reader has, a folder of pictures or a file, to a data set like any other."""
