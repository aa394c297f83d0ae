"""What travels over an NBD connection, declared once, with the names of the NBD specification.

All integers are big-endian. From the NetworkBlockDevice project's "The NBD protocol" (doc/proto.md)::

    server                                  client
    GREETING: magic, magic, global flags
                                            client flags (4 bytes)
                                            OPTION + data           haggling: any number of these,
    OPTION_REPLY + data …                                           until NBD_OPT_GO or NBD_OPT_EXPORT_NAME
                                            REQUEST (+ data)        transmission
    SIMPLE_REPLY (+ data), or
    STRUCTURED_REPLY + payload …

The server and the client for remote parents share this module; it holds no behaviour.
"""

from __future__ import annotations

import errno
from struct import Struct

DEFAULT_PORT = 10809

# Magic numbers.
NBD_MAGIC = 0x4E42444D41474943  # "NBDMAGIC"
NBD_OPTS_MAGIC = 0x49484156454F5054  # "IHAVEOPT"
NBD_OLD_VERSION = 0x00420281861253  # in place of IHAVEOPT: an oldstyle server, which has no options
NBD_REP_MAGIC = 0x0003E889045565A9
NBD_REQUEST_MAGIC = 0x25609513
NBD_SIMPLE_REPLY_MAGIC = 0x67446698
NBD_STRUCTURED_REPLY_MAGIC = 0x668E33EF

# The largest name of an export or of a metadata context, in bytes of UTF-8.
NBD_MAX_STRING = 4096
# What a request may transfer where the server tells no other maximum.
NBD_DEFAULT_MAXIMUM = 32 << 20

# Handshake (global) flags, and the client's answer to them.
NBD_FLAG_FIXED_NEWSTYLE = 1 << 0
NBD_FLAG_NO_ZEROES = 1 << 1
NBD_FLAG_C_FIXED_NEWSTYLE = 1 << 0
NBD_FLAG_C_NO_ZEROES = 1 << 1

# Transmission flags: what an export can do.
NBD_FLAG_HAS_FLAGS = 1 << 0
NBD_FLAG_READ_ONLY = 1 << 1
NBD_FLAG_SEND_FLUSH = 1 << 2
NBD_FLAG_SEND_FUA = 1 << 3
NBD_FLAG_ROTATIONAL = 1 << 4
NBD_FLAG_SEND_TRIM = 1 << 5
NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6
NBD_FLAG_SEND_DF = 1 << 7
NBD_FLAG_CAN_MULTI_CONN = 1 << 8
NBD_FLAG_SEND_RESIZE = 1 << 9
NBD_FLAG_SEND_CACHE = 1 << 10
NBD_FLAG_SEND_FAST_ZERO = 1 << 11

# Options.
NBD_OPT_EXPORT_NAME = 1
NBD_OPT_ABORT = 2
NBD_OPT_LIST = 3
NBD_OPT_PEEK_EXPORT = 4  # withdrawn
NBD_OPT_STARTTLS = 5
NBD_OPT_INFO = 6
NBD_OPT_GO = 7
NBD_OPT_STRUCTURED_REPLY = 8
NBD_OPT_LIST_META_CONTEXT = 9
NBD_OPT_SET_META_CONTEXT = 10
NBD_OPT_EXTENDED_HEADERS = 11

# Types of replies to options; those with the highest bit set are errors and may carry a sentence.
NBD_REP_ACK = 1
NBD_REP_SERVER = 2
NBD_REP_INFO = 3
NBD_REP_META_CONTEXT = 4
NBD_REP_FLAG_ERROR = 1 << 31
NBD_REP_ERR_UNSUP = NBD_REP_FLAG_ERROR + 1
NBD_REP_ERR_POLICY = NBD_REP_FLAG_ERROR + 2
NBD_REP_ERR_INVALID = NBD_REP_FLAG_ERROR + 3
NBD_REP_ERR_PLATFORM = NBD_REP_FLAG_ERROR + 4
NBD_REP_ERR_TLS_REQD = NBD_REP_FLAG_ERROR + 5
NBD_REP_ERR_UNKNOWN = NBD_REP_FLAG_ERROR + 6
NBD_REP_ERR_SHUTDOWN = NBD_REP_FLAG_ERROR + 7
NBD_REP_ERR_BLOCK_SIZE_REQD = NBD_REP_FLAG_ERROR + 8
NBD_REP_ERR_TOO_BIG = NBD_REP_FLAG_ERROR + 9

# Types of information in NBD_REP_INFO.
NBD_INFO_EXPORT = 0
NBD_INFO_NAME = 1
NBD_INFO_DESCRIPTION = 2
NBD_INFO_BLOCK_SIZE = 3

# Requests.
NBD_CMD_READ = 0
NBD_CMD_WRITE = 1
NBD_CMD_DISC = 2
NBD_CMD_FLUSH = 3
NBD_CMD_TRIM = 4
NBD_CMD_CACHE = 5
NBD_CMD_WRITE_ZEROES = 6
NBD_CMD_BLOCK_STATUS = 7

# Flags of requests.
NBD_CMD_FLAG_FUA = 1 << 0
NBD_CMD_FLAG_NO_HOLE = 1 << 1
NBD_CMD_FLAG_DF = 1 << 2
NBD_CMD_FLAG_REQ_ONE = 1 << 3
NBD_CMD_FLAG_FAST_ZERO = 1 << 4

# Flags and types of structured replies; types with bit 15 set are errors.
NBD_REPLY_FLAG_DONE = 1 << 0
NBD_REPLY_TYPE_NONE = 0
NBD_REPLY_TYPE_OFFSET_DATA = 1
NBD_REPLY_TYPE_OFFSET_HOLE = 2
NBD_REPLY_TYPE_BLOCK_STATUS = 5
NBD_REPLY_TYPE_FLAG_ERROR = 1 << 15
NBD_REPLY_TYPE_ERROR = NBD_REPLY_TYPE_FLAG_ERROR + 1
NBD_REPLY_TYPE_ERROR_OFFSET = NBD_REPLY_TYPE_FLAG_ERROR + 2

# The one metadata context of the specification itself, and its flags.
NBD_META_CONTEXT_ALLOCATION = "base:allocation"
NBD_STATE_HOLE = 1 << 0
NBD_STATE_ZERO = 1 << 1

# Errors of replies: Linux's numbers on every system.
NBD_EPERM = 1
NBD_EIO = 5
NBD_ENOMEM = 12
NBD_EINVAL = 22
NBD_ENOSPC = 28
NBD_EOVERFLOW = 75
NBD_ENOTSUP = 95
NBD_ESHUTDOWN = 108

# The host's errors as the specification wants them told; all others become NBD_EIO.
NBD_ERROR_OF_ERRNO = {
    errno.EPERM: NBD_EPERM,
    errno.EACCES: NBD_EPERM,
    errno.EROFS: NBD_EPERM,
    errno.ENOMEM: NBD_ENOMEM,
    errno.EINVAL: NBD_EINVAL,
    errno.ENOSPC: NBD_ENOSPC,
    errno.EDQUOT: NBD_ENOSPC,
    errno.EFBIG: NBD_ENOSPC,
    errno.EOVERFLOW: NBD_EOVERFLOW,
    errno.ENOTSUP: NBD_ENOTSUP,
    errno.ESHUTDOWN: NBD_ESHUTDOWN,
}
# And back, for messages and for the exceptions of a client.
ERRNO_OF_NBD_ERROR = {
    NBD_EPERM: errno.EPERM,
    NBD_EIO: errno.EIO,
    NBD_ENOMEM: errno.ENOMEM,
    NBD_EINVAL: errno.EINVAL,
    NBD_ENOSPC: errno.ENOSPC,
    NBD_EOVERFLOW: errno.EOVERFLOW,
    NBD_ENOTSUP: errno.ENOTSUP,
    NBD_ESHUTDOWN: errno.ESHUTDOWN,
}

# The structures, and what their fields are.
GREETING = Struct(">QQH")  # NBD_MAGIC, NBD_OPTS_MAGIC, global flags
CLIENT_FLAGS = Struct(">I")
OPTION = Struct(">QII")  # NBD_OPTS_MAGIC, option, length of data
OPTION_REPLY = Struct(">QIII")  # NBD_REP_MAGIC, option, type, length of data
EXPORT_SIZE_FLAGS = Struct(">QH")  # answer to NBD_OPT_EXPORT_NAME: size, transmission flags …
EXPORT_PADDING = 124  # … and zeros, unless both sides said NO_ZEROES
LENGTH = Struct(">I")  # before every string inside of an option
COUNT = Struct(">H")  # of information requests in NBD_OPT_INFO and NBD_OPT_GO
CONTEXT_ID = Struct(">I")  # before the context's name, and before the extents of a BLOCK_STATUS chunk
INFO_TYPE = Struct(">H")
INFO_EXPORT = Struct(">HQH")  # NBD_INFO_EXPORT, size, transmission flags
INFO_BLOCK_SIZE = Struct(">HIII")  # NBD_INFO_BLOCK_SIZE, minimum, preferred, maximum payload
REQUEST = Struct(">IHHQQI")  # NBD_REQUEST_MAGIC, flags, type, cookie, offset, length
SIMPLE_REPLY = Struct(">IIQ")  # NBD_SIMPLE_REPLY_MAGIC, error, cookie
STRUCTURED_REPLY = Struct(">IHHQI")  # NBD_STRUCTURED_REPLY_MAGIC, flags, type, cookie, length of payload
OFFSET = Struct(">Q")  # before the data of an OFFSET_DATA chunk
OFFSET_HOLE = Struct(">QI")  # offset, length
ERROR = Struct(">IH")  # error, length of the message behind it; ERROR_OFFSET: an OFFSET behind the message
STATUS = Struct(">II")  # one extent of a BLOCK_STATUS chunk: length, NBD_STATE_*
