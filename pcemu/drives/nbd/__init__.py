"""A server that lends drives to any NBD client; pcemu.drives.SHARING.md tells how to use it.

::

    server      listening, limits, TLS           knows sockets
    connection  buffers, back pressure           knows asyncio
    handshake   options, up to an export         no I/O: yields what it wants to send and to receive
    transmission  requests and their replies     no I/O but the drive's
    exports     what is lent, and who may touch it when
"""
