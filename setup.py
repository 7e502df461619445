"""Builds the CPU kernels where there is a compiler; the rest of the packaging stands in pyproject.toml."""

import platform
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

SOURCES = Path("seqjax/kernels/cpu")
FLAGS = ["-std=c++17", "-O3", "-g0", "-fvisibility=hidden"]
AVX2 = ["-mavx2", "-mfma"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512dq", "-mavx512vl"]
BFLOAT16 = [*AVX512, "-mavx512bw", "-mavx512bf16", "-mavx512vnni"]
SETS = {
    "avx2": AVX2,
    "avx512": AVX512,
    "avx512bf16": BFLOAT16,
    "amx": [*BFLOAT16, "-mamx-tile", "-mamx-bf16"],
}
"""Flags of the files that are compiled for one instruction set each; which of them runs is seen at run time."""

LATER = {"avx512bf16": "SEQJAX_AVX512BF16", "amx": "SEQJAX_AMX"}
"""Sets that older compilers do not know, each with the macro that says it is there."""

FALLBACK = (
    "seqjax is built in pure Python: its CPU kernels were not compiled, for the reason above. "
    "All works without them, classic cells more slowly; `seqjax doctor` says how to get them."
)


class BuildKernels(build_ext):
    """Compiles each file with the flags of its instruction set."""

    def run(self):
        """Builds the kernels, or says that there are none; the wheel then fits every platform."""
        super().run()
        if not Path(self.get_ext_fullpath(kernels.name)).exists():
            self.warn(FALLBACK)
            self.distribution.ext_modules = []
            self.get_finalized_command("bdist_wheel").root_is_pure = True

    def build_extension(self, ext):
        """Compiles object by object, then links; an error leaves the package without the kernels."""
        import jaxlib

        sets = SETS if platform.machine().lower() in ("x86_64", "amd64") else {}
        for name in ("avx2", "avx512", *LATER):
            source = str(SOURCES / f"{name}.cc")
            flags = FLAGS + sets.get(name, [])
            try:
                ext.extra_objects += self.compiler.compile(
                    [source], output_dir=self.build_temp, extra_postargs=flags, depends=ext.depends
                )
            except CompileError:
                if name not in LATER:
                    raise
                self.warn(f"this compiler does not know {name}: products in bfloat16 are slower")
                continue
            if name in sets and name in LATER:
                ext.define_macros.append((LATER[name], "1"))
        ext.include_dirs.append(str(Path(jaxlib.__file__).parent / "include"))
        super().build_extension(ext)


kernels = Extension(
    "seqjax.kernels._native",
    [str(SOURCES / "module.cc"), str(SOURCES / "baseline.cc")],
    depends=[str(source) for source in sorted(SOURCES.glob("*"))],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)
setup(
    ext_modules=[kernels],
    cmdclass={"build_ext": BuildKernels},
    # One wheel for Python 3.11 and later: the kernels keep to its limited interface.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
