"""A model as C99: one header with the weights and a step function, for machines without Python.

interop.c.save(trained, "model.h")
interop.c.save(trained, "model.h", weights="int8")
interop.c.save((net, params), "model.h")
interop.c.page(trained, "page")                      # writes characters in a browser
"""

from seqjax.interop.c.page import page as page
from seqjax.interop.c.writing import save as save
