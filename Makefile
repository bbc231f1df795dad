# Two commands do all set-up on a fresh machine with python3 (3.11 or newer): make demo, make test.

# The first interpreter that runs and is new enough; PYTHON=… chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help demo test lint format fuzz soak estate bench bench-compare bench-rules mutants mutants-rules docs translations dashboards screenshots golden requirements tools manifests compose clean \
	site dist wheel-test sbom chart image image-push image-sbom image-sign chart-push coverage lint-workflows \
	check-version release-notes ci-container

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/run ## Run the exporter on an embedded simulator of the API: http://127.0.0.1:10058
	@$(BIN)/python -m exporter demo $(ARGS)

test: $(VENV)/dev $(if $(CI),tools) ## Run all tests in three processes (ARGS=… is passed to pytest)
	@$(BIN)/python -m pytest --numprocesses 3 --dist worksteal $(ARGS)

coverage: $(VENV)/dev ## Run the unit tests and fail if they cover less of the code than before (ARGS=tests: all tests)
	@$(BIN)/python -m pytest --numprocesses 2 --cov --cov-report=term-missing:skip-covered $(or $(ARGS),tests/unit)

lint: $(VENV)/dev ## Check style, types, the direction of imports, spelling and prose
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/python -m tools.prose

format: $(VENV)/dev ## Fix what the style checks can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev ## Measure scrapes, polls and accounts, and write docs/performance.md and docs/scaling.md
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.accounts

bench-compare: $(VENV)/dev ## Compare polls, scrapes and start-up with another revision: REV=…
	@$(BIN)/python -m benchmarks.compare $(REV) $(ARGS)

mutants: $(VENV)/dev ## Check that tests fail after small changes of the package (takes hours; continues where it was stopped)
	$(BIN)/python -m tools.code_mutants $(ARGS)

mutants-rules: $(VENV)/dev ## Check that tests fail after small changes of the rules (continues where it was stopped)
	$(BIN)/python -m tools.mutants $(ARGS)

bench-rules: $(VENV)/dev ## Measure rules and dashboards with 10,000 servers, and write docs/scaling.md
	$(BIN)/python -m benchmarks.rules

fuzz: $(VENV)/fuzz ## Fuzz everything that reads input from outside, a minute per target (ARGS="--seconds=3600 --seed=1")
	@PYTHONPATH=tests $(BIN)/python -m fuzz $(ARGS)

soak: $(VENV)/dev ## Disturb a running exporter for an hour, and check that memory, descriptors and threads do not grow (ARGS=--minutes=1)
	@$(BIN)/python -m benchmarks.soak $(ARGS)

estate: $(VENV)/dev ## Poll 50 accounts of 1,000 servers for an hour, while 5 of the accounts fail in every way
	@$(BIN)/python -m benchmarks.soak.estate $(ARGS)

docs: $(VENV)/dev ## Build the reference pages of docs/ from the code
	$(BIN)/python -m tools.docs.generate

translations: $(VENV)/dev ## Add new texts to the translations, and compile them
	$(BIN)/python -m tools.translations

dashboards: $(VENV)/dev ## Build the Grafana dashboards from code
	$(BIN)/python -m grafana.build

screenshots: $(VENV)/dev ## Take the pictures of the pages (needs chromium, chromium-driver and fonts-noto-cjk)
	@PYTHONPATH=tests $(BIN)/python -m tools.docs.screenshots

golden: $(VENV)/dev ## Write the expected expositions of tests again, for review in the diff
	WRITE_GOLDEN=1 $(BIN)/python -m pytest --quiet tests/integration/test_golden.py

requirements: $(VENV)/dev ## Compile the dependencies of pyproject.toml to pinned and hashed requirements
	$(BIN)/uv pip compile $(UV_ARGS) pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile $(UV_ARGS) pyproject.toml --group dev -o requirements/dev.txt
	$(BIN)/uv pip compile $(UV_ARGS) --constraint requirements/dev.txt --group fuzz -o requirements/fuzz.txt
	$(BIN)/uv pip compile $(UV_ARGS) --constraint requirements/dev.txt --group release -o requirements/release.txt
	$(BIN)/uv pip compile $(UV_ARGS) --constraint requirements/dev.txt --group site -o requirements/site.txt
	$(BIN)/uv pip compile $(UV_ARGS) --constraint requirements/dev.txt --group build -o requirements/build.txt

UV_ARGS := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-strip-extras \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make requirements'

tools: tools/bin/.built tools/bin/axe.min.js tools/grafana/node_modules/.built tools/wheels/.built ## Build or download what some tests need (needs go and npm), and download the packages of the image

tools/bin/.built: tools/go.mod tools/go.sum
	cd tools && go build -o bin/ helm.sh/helm/v4/cmd/helm sigs.k8s.io/kustomize/kustomize/v5
	cd tools && go build -o bin/compose-spec github.com/compose-spec/compose-go/v2/cmd
	cd tools && go mod download github.com/prometheus-operator/prometheus-operator
	@touch $@

tools/grafana/node_modules/.built: tools/grafana/package-lock.json
	npm ci --prefix tools/grafana --ignore-scripts --no-audit --no-fund
	@touch $@

tools/bin/axe.min.js: tools/axe/package-lock.json
	npm ci --prefix tools/axe --ignore-scripts --no-audit --no-fund
	@mkdir -p $(@D) && cp tools/axe/node_modules/axe-core/axe.min.js $@

tools/wheels/.built: requirements/run.txt requirements/build.txt | $(BIN)/python
	@$(PIP) download --require-hashes --dest $(@D) -r requirements/run.txt -r requirements/build.txt
	@touch $@

KUSTOMIZE := deploy/kubernetes/kustomize
MANIFESTS ?= $(KUSTOMIZE)
render = tools/bin/helm template sms-exporter deploy/kubernetes/chart --values $(KUSTOMIZE)/values.yaml \
	$(foreach template,$(1),--show-only templates/$(template).yaml) 2>$(MANIFESTS)/errors \
	| grep -v -e '^\# Source: ' -e ' helm.sh/chart: ' -e ' app.kubernetes.io/managed-by: ' >$(MANIFESTS)/$(2)/manifests.yaml \
	|| { cat $(MANIFESTS)/errors; exit 1; }

manifests: tools/bin/.built ## Render the chart for users of kustomize
	@mkdir -p $(MANIFESTS)/base $(MANIFESTS)/monitoring
	@$(call render,serviceaccount configmap deployment service networkpolicy,base)
	@$(call render,servicemonitor prometheusrule,monitoring)
	@rm $(MANIFESTS)/errors

compose: ## Write Prometheus's configuration for Compose: the one of deploy/prometheus with other addresses
	@sed -e 's/127\.0\.0\.1:9093/alertmanager:9093/' -e 's/127\.0\.0\.1:10058/exporter:10058/' \
		deploy/prometheus/prometheus.yml >deploy/compose/prometheus.yml

site: $(VENV)/site ## Build the documentation site strictly into build/documentation/site
	@$(BIN)/python -m tools.docs.site build/documentation
	@echo "Read it at http://127.0.0.1:8000 after: python3 -m http.server -b 127.0.0.1 -d build/documentation/site"

VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' exporter/__init__.py)
WHEEL := dist/huaweicloud_sms_exporter-$(VERSION)-py3-none-any.whl
SDIST := dist/huaweicloud_sms_exporter-$(VERSION).tar.gz
# The date of every file in the packages, so that the same commit gives the same bytes.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 1577836800)

dist: $(VENV)/dev ## Build wheel and sdist into dist/, twice, and fail if their bytes differ
	@git rev-parse HEAD >exporter/REVISION 2>/dev/null || rm -f exporter/REVISION
	@rm -rf dist build/again
	@$(BIN)/python -m hatchling build -d dist
	@$(BIN)/python -m hatchling build -d build/again >/dev/null
	@rm -f exporter/REVISION
	@cmp $(WHEEL) build/again/$(notdir $(WHEEL))
	@cmp $(SDIST) build/again/$(notdir $(SDIST))

# The sdist without the package, so that the tests import the installed wheel.
TRIAL := build/wheel-test
wheel-test: ## Run the unit tests of the sdist in dist/ on its wheel, in a clean environment (PYTHON=… chooses one)
	@test -f $(WHEEL) && test -f $(SDIST) || { echo "make dist builds the packages first" >&2; exit 1; }
	@rm -rf $(TRIAL) && mkdir -p $(TRIAL)
	@tar -xzf $(SDIST) -C $(TRIAL) --strip-components 1
	@rm -r $(TRIAL)/exporter
	@$(PYTHON) -m venv $(TRIAL)/.venv
	@$(TRIAL)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(TRIAL)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(WHEEL)
	cd $(TRIAL) && .venv/bin/python -m pytest --numprocesses 2 -p no:cacheprovider tests/unit $(ARGS)

sbom: $(VENV)/release ## Write the SBOM of the wheel's environment (CycloneDX) and its licences into dist/
	@test -f $(WHEEL) || { echo "make dist builds the packages first" >&2; exit 1; }
	@rm -rf build/sbom
	@$(PYTHON) -m venv build/sbom
	@build/sbom/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@build/sbom/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(WHEEL)
	@build/sbom/bin/python -m pip uninstall --quiet --yes setuptools wheel pip 2>/dev/null
	$(BIN)/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml -o dist/sbom.cdx.json build/sbom
	$(BIN)/pip-licenses --python build/sbom/bin/python --with-urls --format markdown --output-file dist/LICENSES.md

chart: tools/bin/.built ## Package the Helm chart into dist/
	tools/bin/helm package --destination dist deploy/kubernetes/chart

IMAGE ?= huaweicloud-sms-exporter
PLATFORMS ?= linux/amd64,linux/arm64
BUILD := --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) \
	--build-arg SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
	--build-arg CREATED=$$(date --utc --date=@$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ) --tag $(IMAGE):$(VERSION) .

image: ## Build the image for this machine (needs docker)
	docker build $(BUILD)

image-test: ## Build the image twice with buildah, compare the layers, and run it restricted (needs root and buildah)
	tools/image-test.sh

image-push: ## Build the image for all platforms with SBOM and provenance, and push it to IMAGE=…
	docker buildx build --platform $(PLATFORMS) --sbom=true --provenance=mode=max --push --metadata-file dist/image.json $(BUILD)

image-sbom: ## Write the SBOM of the image (CycloneDX) into dist/ (needs syft)
	syft scan $(IMAGE):$(VERSION) --output cyclonedx-json=dist/image.cdx.json

image-sign: ## Sign the pushed image with the identity of the workflow (needs cosign)
	cosign sign --yes "$(IMAGE)@$$(sed -n 's/.*"containerd.image.digest": "\(.*\)".*/\1/p' dist/image.json)"

chart-push: chart ## Push the packaged chart to CHARTS=oci://…
	tools/bin/helm push dist/huaweicloud-sms-exporter-$(VERSION).tgz $(CHARTS)

check-version: ## Fail unless TAG=v… is the version of package, chart and changelog
	@test "$(TAG)" = "v$(VERSION)" || { echo "the tag is $(TAG), the version of the package $(VERSION)" >&2; exit 1; }
	@grep -qx "version: $(VERSION)" deploy/kubernetes/chart/Chart.yaml || { echo "Chart.yaml has another version" >&2; exit 1; }
	@grep -qx "appVersion: $(VERSION)" deploy/kubernetes/chart/Chart.yaml || { echo "Chart.yaml has another appVersion" >&2; exit 1; }
	@grep -q "^## $(VERSION)\b" CHANGELOG.md || { echo "CHANGELOG.md has no section $(VERSION)" >&2; exit 1; }

release-notes: ## Print the section of the changelog for the version
	@awk '/^## / { printing = index($$0, "## $(VERSION)") == 1; next } printing' CHANGELOG.md

# Debian, because the tests need its packages of Prometheus and Chromium, with Go. Add @sha256:… to pin the exact image.
CI_IMAGE ?= golang:1.26-bookworm
ci-container: ## Run .ci/run on Debian in a container (needs docker)
	docker run --rm --volume "$(CURDIR):/source:ro" $(CI_IMAGE) sh -euc '\
		apt-get update -qq; \
		apt-get install -y -qq --no-install-recommends python3-venv >/dev/null; \
		cp -r /source /work; cd /work; exec .ci/run'

lint-workflows: $(VENV)/release tools/bin/actionlint ## Check the GitHub workflows
	$(BIN)/zizmor --offline --persona pedantic --quiet .github
	tools/bin/actionlint

tools/bin/actionlint: tools/actionlint/go.mod tools/actionlint/go.sum
	cd tools/actionlint && go build -o ../bin/ github.com/rhysd/actionlint/cmd/actionlint

clean: ## Remove everything that was set up
	rm -rf build dist $(VENV) tools/bin tools/wheels tools/axe/node_modules tools/grafana/node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with its venv module is needed (Debian: apt install python3-venv); PYTHON=… names one." >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run: requirements/run.txt | $(BIN)/python
	@$(PIP) install --require-hashes -r $<
	@touch $@

$(VENV)/dev: requirements/dev.txt pyproject.toml | $(BIN)/python
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@ $(VENV)/run

$(VENV)/site: requirements/site.txt | $(VENV)/dev
	@$(PIP) install --require-hashes -r $<
	@touch $@

$(VENV)/fuzz: requirements/fuzz.txt | $(VENV)/dev
	@$(PIP) install --require-hashes -r $<
	@touch $@

$(VENV)/release: requirements/release.txt | $(VENV)/dev
	@$(PIP) install --require-hashes -r $<
	@touch $@
