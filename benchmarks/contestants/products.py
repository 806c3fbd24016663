"""The rate of this machine: one float32 product of 1024 x 256 by 256 x 256, by one of two libraries."""

import torch
from serve import arguments, serve

options = arguments()
torch.set_num_threads(options.threads)
torch.backends.mkldnn.matmul.fp32_precision = "bf16" if options.precision == "oneDNN" else "none"
a, b = torch.randn(1024, 256), torch.randn(256, 256)
serve(lambda: a @ b)
