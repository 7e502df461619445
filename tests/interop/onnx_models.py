"""Models of one node, with the weights of a golden file inside."""

import onnx

INPUTS = {
    "LSTM": ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"),
    "GRU": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
    "RNN": ("X", "W", "R", "B", "sequence_lens", "initial_h"),
}
ATTRIBUTES = ("direction", "hidden_size", "input_forget", "linear_before_reset")


def node_of(golden, name="", suffix="", x="X"):
    """The node of a golden file."""
    options = {key: golden[key].item() for key in ATTRIBUTES if key in golden}
    if "activation" in golden:
        options["activations"] = [golden["activation"].item()] * golden["W"].shape[0]
    names = [f"{key}{suffix}" if key in golden else "" for key in INPUTS[str(golden["op"])]]
    names[0] = x
    outputs = [f"Y{suffix}"]
    return onnx.helper.make_node(str(golden["op"]), names, outputs, name=name, **options)


def model_of(golden):
    """A model of one node, whose weights are initialisers."""
    return model([node_of(golden)], weights(golden))


def weights(golden, suffix=""):
    return [
        onnx.numpy_helper.from_array(golden[key], f"{key}{suffix}")
        for key in ("W", "R", "B", "P")
        if key in golden
    ]


def model(nodes, tensors):
    """A model that is read, not run."""
    graph = onnx.helper.make_graph(nodes, "test", [], [], tensors)
    return onnx.helper.make_model(graph)
