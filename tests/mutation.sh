#!/bin/sh
# Mutation testing of one package: plan, checks, store or lock; further arguments are names of mutants.
# Each package is run in a copy of its own below .mutation, since mutmut keeps one selection of tests for each folder.
set -eu
package=${1:?plan, checks, store or lock}
shift
case $package in
plan)
	sources='"certgen/plan/*.py"'
	tests="tests/test_plan_*.py tests/test_section5.py"
	;;
checks)
	sources='"certgen/spec/checks/*.py"'
	tests="tests/test_checks.py tests/test_cases.py"
	;;
store)
	sources='"certgen/store/[!l]*.py", "certgen/journal.py", "certgen/manifest.py"'
	tests=$(ls tests/test_store_*.py tests/test_journal.py tests/test_manifest.py | grep -v test_store_lock)
	;;
lock)
	sources='"certgen/store/lock.py"'
	tests=$(ls tests/test_store_lock*.py)
	;;
*)
	echo "There is no package $package: plan, checks, store or lock." >&2
	exit 2
	;;
esac

listed() { printf '"%s", ' "$@"; }

folder=.mutation/$package
mkdir -p "$folder"
cp -R certgen specs docs tests certgen.schema.json README.md "$folder"
{
	cat pyproject.toml
	cat <<END

[tool.mutmut]
source_paths = ["certgen"]
only_mutate = [$sources]
pytest_add_cli_args_test_selection = [$(listed $tests)]
also_copy = ["specs", "certgen.schema.json", "README.md", "docs"]
timeout_constant = 8.0
track_dependencies = false
use_git_change_detection = false
on_dependency_change = "ignore"
pytest_add_cli_args = [
    "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "-p", "no:logging",
    "-p", "no:unraisableexception", "-p", "no:threadexception",
    "--deselect", 'tests/test_manifest.py::TestDamage::test_what_is_no_manifest_is_damaged[\xff\xfe]',
]
END
} >"$folder/pyproject.toml"
cd "$folder"
# CI: Hypothesis has no deadlines then, which a busy machine would miss, and the same examples each time.
CI=true exec mutmut run --max-children 2 "$@"
