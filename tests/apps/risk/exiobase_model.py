"""The same risks by EXIOBASE's tables."""
from oecd_icio_model import OECDICIOModel


class ExiobaseModel(OECDICIOModel):
    name = "exiobase"
    SUPPLIERS = (("CHN", "C26"), ("BRA", "A01"))
