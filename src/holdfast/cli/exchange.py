"""That no usable answer came back: known to whoever reads an answer."""
from holdfast.errors import HoldfastError


class ExchangeError(HoldfastError):
    """The network, TLS, or a body that is not what it should be."""
