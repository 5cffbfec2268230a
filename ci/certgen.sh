# For the steps of action.yml: certgen on the specs that the caller names in SPECS, one path a line; none is specs/*.yaml.
# It is the program by its path: nothing of the repository at hand is ever run.

# $@: a command and its options.
certgen() {
  local arguments=("$@" --) spec
  while IFS= read -r spec; do
    if [[ -n "${spec//[[:space:]]/}" ]]; then
      arguments+=("$spec")
    fi
  done <<<"${SPECS-}"
  "$RUNNER_TEMP/certgen/bin/certgen" "${arguments[@]}"
}
