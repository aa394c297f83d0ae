"""A server that lends drives to any NBD client; SHARING.md beside this package tells how to use it.

::

    server        listening, limits              knows sockets
    connection    buffers, back pressure, TLS    knows asyncio
    handshake     options, up to an export       no I/O: yields what it wants to send and to receive
    transmission  requests                       no I/O but the drive's
    replies       many of them in one buffer     no I/O
    exports       what is lent, and who may touch it when
    listing       another server's exports
"""
