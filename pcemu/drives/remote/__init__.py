"""Images on a server as the ultimate parents of local chains: NBD, and through fsspec HTTP, S3 and others."""
