#!/usr/bin/env bash
# Remove from an environment what the daemon never loads: trim_environment.sh PREFIX.
# For images, into which nothing is installed later: pip is removed too. Needs `strip` of binutils for the last part.
set -euo pipefail

prefix=$1
packages=$("$prefix/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
case $packages in "$prefix"/*) ;; *) echo "trim_environment: $packages is not in $prefix" >&2; exit 1 ;; esac
cd "$packages"

# Installers.
rm -rf pip pip-*.dist-info setuptools setuptools-*.dist-info pkg_resources _distutils_hack distutils-precedence.pth
rm -f "$prefix"/bin/pip*
# Tests of dependencies, and ONNX's test data.
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
# Sources and descriptions for compilers and editors.
find . -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.h' -o -name '*.cc' -o -name '*.a' -o -name '*.proto' \) -delete
# ONNX Runtime: the library for C programs (Python's module contains it), and tools for making models.
rm -rf onnxruntime/capi/libonnxruntime.so.* onnxruntime/transformers onnxruntime/quantization onnxruntime/tools
# ONNX's own interpreter, NumPy's compilers, and OpenCV's cascades.
rm -rf onnx/reference numpy/f2py numpy/distutils cv2/data/*.xml
# ONNX Runtime 1.23, for Python 3.10, needs SymPy only for its tools.
rm -rf sympy sympy-*.dist-info mpmath mpmath-*.dist-info isympy.py

# Descriptions of Amazon's services other than S3, and of those that hand out credentials for it.
find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -rf {} +

# PyAV's modules contain debugging symbols of seven times their size.
if command -v strip > /dev/null; then
  find av -name '*.so' -exec strip --strip-debug {} +
else
  echo "trim_environment: no strip (binutils): debugging symbols stay" >&2
fi
"$prefix/bin/python" -c 'import av, botocore.session, cv2, numpy, onnx, onnxruntime; botocore.session.Session().create_client("s3", "us-east-1")'
"$prefix/bin/framelane" --version
