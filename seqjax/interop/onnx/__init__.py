"""ONNX: models for other run times, such as ONNX Runtime in a browser, a phone or a server.

    interop.onnx.save(trained, "model.onnx")
    interop.onnx.save(trained, "step.onnx", step=True, weights="int8")
    net, params = interop.onnx.load("model.onnx")

`seqjax.interop.signature` lists the names of inputs and outputs.
"""

from seqjax.interop.onnx.reading import load as load
from seqjax.interop.onnx.writing import save as save
