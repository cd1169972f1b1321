// Weft as a library: the one header whose names stay as they are. Everything else under weft/ may
// change.
//
//   graph     Tensor, the operations on tensors, eval, jit, grad, value_and_grad, vjp, jvp
//   models    ModelConfig and the table of architectures, made of the layers in nn/
//   text      tokenizers
//   train     Dataset, Batch, Stepper, Trainer, run folders
//   engine    Runner (a model with a KV cache), the sampler, generate()
#pragma once
#include "weft/base/error.h"
#include "weft/engine/generate.h"
#include "weft/engine/runner.h"
#include "weft/engine/sampler.h"
#include "weft/graph/autodiff.h"
#include "weft/graph/jit.h"
#include "weft/graph/ops.h"
#include "weft/graph/tensor.h"
#include "weft/graph/tree.h"
#include "weft/models/model.h"
#include "weft/nn/layers.h"
#include "weft/text/bpe.h"
#include "weft/text/bpe_train.h"
#include "weft/text/byte_tokenizer.h"
#include "weft/text/char_tokenizer.h"
#include "weft/text/tokenizer.h"
#include "weft/train/batch.h"
#include "weft/train/config.h"
#include "weft/train/dataset.h"
#include "weft/train/evaluate.h"
#include "weft/train/run_folder.h"
#include "weft/train/step.h"
#include "weft/train/trainer.h"
