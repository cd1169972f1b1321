# Weft: `make` explains, `make run` shows the main job, `make test` checks everything.
.PHONY: help run test build setup format tidy sanitize bench clean
.DEFAULT_GOAL := help

help:
	@echo "make run     install what is missing, build, and run the demo (or go on with it): a model trained and talked with in about three minutes"
	@echo "make test    the same set-up, then every test (what CI runs)"
	@echo "make build   only the build: build/release/weft"
	@echo "make bench   the benchmarks, each with its limit and its peer"
	@echo "make format  clang-format over the tree;  make tidy: clang-tidy;  make sanitize: the tests under sanitizers"
	@echo "make clean   remove build/"

setup:
	@tools/setup

build: setup
	@cmake --preset release --log-level=WARNING >/dev/null
	@cmake --build --preset release

run: build
	@build/release/weft demo $$(test ! -e weft-demo/run || echo --resume)

test: build
	@tools/test

bench: build
	@bench/run

format:
	@clang-format -i $$(git ls-files '*.h' '*.cpp')

tidy: build
	@tools/tidy

sanitize: setup
	@tools/sanitize

clean:
	@rm -rf build
