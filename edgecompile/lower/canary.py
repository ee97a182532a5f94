"""Does TVM work together with the tvm-ffi that is installed?"""

from __future__ import annotations


def serialise_function() -> str:
    """TVM's version, after saving and loading a function.

    With an unfitting tvm-ffi this crashes the process, while compiling still works: call it in a child.
    """
    import tvm
    from tvm import te

    source = te.placeholder((4,), name="source")
    result = te.compute((4,), lambda i: source[i] + 1.0, name="result")
    module = tvm.IRModule({"add_one": te.create_prim_func([source, result])})
    loaded = tvm.ir.load_json(tvm.ir.save_json(module))
    tvm.ir.assert_structural_equal(loaded, module)
    return str(tvm.__version__)
