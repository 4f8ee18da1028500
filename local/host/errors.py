"""Why the host refuses to start; everything later is logged and survived."""


class StartRefused(Exception):
    """The host cannot run this app; the message names what is wrong and where, in words for its developer."""


EXIT_REFUSED = 3  # tells the supervisor of several workers that starting again is pointless
EXIT_FORCED = 130
