#!/bin/sh
# install.sh - puts Kiosk Guard on this machine.
#
#   ./install.sh --demo     try it here and now: no box, no camera, no root needed
#   sudo ./install.sh       set up this machine as a box, or bring the box up to date
#   ./install.sh --help     all options
#
# The steps are in firmware_config/install/, one file a topic, one function a step; every step says in one line what it
# does. Exit codes follow sysexits.h.
set -eu

EX_USAGE=64 EX_DATAERR=65 EX_NOINPUT=66 EX_UNAVAILABLE=69 EX_SOFTWARE=70 EX_CANTCREAT=73 EX_TEMPFAIL=75 EX_NOPERM=77
OWNER_TAG=.made-by-kiosk-guard
COMPLETE_TAG=.kiosk-guard-complete

say() { printf '%s\n' "[install] $*"; }
warn() { printf '%s\n' "[install] note: $*" >&2; }

# die CODE MESSAGE [NEXT STEP]
die() {
  printf '%s\n' "[install] error: $2" >&2
  [ -z "${3:-}" ] || printf '%s\n' "          $3" >&2
  exit "$1"
}

usage() {
  cat <<'TEXT'
usage: ./install.sh --demo [--keep] [--out DIR] [--venv DIR]
       sudo ./install.sh [--offline DIR] [--site FILE] [--dry-run]
       sudo ./install.sh --uninstall [--purge] [--dry-run]
       ./install.sh --make-wheelhouse DIR [--target TARGET]
       sudo ./install.sh --root MOUNT --offline DIR [--site FILE] [--dry-run]
       ./install.sh --sites CSV --out DIR

  (no option)            set up this machine as a box, or upgrade the box that it is; a second time changes nothing.
                         If a step fails, the version that ran before goes on running.
  --offline DIR          without a network: from a wheelhouse made by --make-wheelhouse
  --site FILE            what is particular to this box (kiosk-site.toml, or KEY=value lines); what is missing is asked
                         for on a terminal, and an error without one
  --dry-run              say what would be done; change nothing
  --uninstall            remove the software; the configuration and the state stay
  --purge                with --uninstall: remove those, too, and the service's user

  --make-wheelhouse DIR  download all that a box needs into DIR; any Linux computer with Python and a network can
  --target TARGET        for which boxes: aarch64-cp311 (Raspberry Pi OS 12), aarch64-cp313 (Raspberry Pi OS 13),
                         aarch64-cp310 (JetPack 6), x86_64-cp311 ...; default: this machine

  --root MOUNT           make a mounted card or image (Raspberry Pi OS Lite, Debian) one that sets itself up at its first
                         boot, from what is laid down on it; runs nothing of the card's. All copies differ in their keys.
  --sites CSV            write a site file for each row of a spreadsheet, and labels to print, to DIR

  --demo                 install the runtime into a venv and show the appliance at work on the lobby clip,
                         with simulated outputs and a mailbox of its own, all on this machine
  --keep                 with --demo: keep serving afterwards (the clip loops) until Ctrl-C
  --out DIR              with --demo: where mails, annotated video and logs go (default: demo-output in the repository);
                         with --sites: where the site files go
  --venv DIR             with --demo: where the Python environment lives (default: .venv in the repository)
  --help                 this text

Exit codes: 0 done; 64 wrong option; 65, 66 a file is wrong or missing; 69 this machine cannot run it; 70 the new version
did not start; 73 no room or no right to write; 75 try again later (network, another install.sh); 77 needs root.
TEXT
}

usage_error() {
  printf '%s\n\n' "[install] error: $1" >&2
  usage >&2
  exit "$EX_USAGE"
}

absolute() { # a path as the caller means it, whatever directory this script works in
  case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$CALLER_DIR/$1" ;;
  esac
}

# set_mode MODE OPTION: two of them contradict each other
set_mode() {
  if [ -n "$MODE" ]; then usage_error "$2 does not go with another task in the same run"; fi
  MODE=$1
}

parse_options() {
  MODE='' KEEP='' OUT='' VENV='' OFFLINE='' SITE='' DRY_RUN='' PURGE='' TARGET='' WHEELHOUSE='' CARD=''
  options=''
  while [ $# -gt 0 ]; do
    case $1 in
      --*=*)
        option=${1%%=*} value=${1#*=}
        case $option in
          --out | --venv | --offline | --site | --sites | --root | --make-wheelhouse | --target) ;;
          *) usage_error "unknown option: $1" ;;
        esac
        shift
        set -- "$option" "$value" "$@"
        continue
        ;;
      --demo) set_mode demo "$1" ;;
      --uninstall) set_mode uninstall "$1" ;;
      --keep) KEEP=1 options="$options $1" ;;
      --purge) PURGE=1 options="$options $1" ;;
      --dry-run) DRY_RUN=1 options="$options $1" ;;
      --out | --venv | --offline | --site | --sites | --root | --make-wheelhouse | --target)
        case $1 in --site | --sites) what="a file" ;; --target) what="a target" ;; *) what="a directory" ;; esac
        if [ $# -lt 2 ] || [ -z "$2" ]; then usage_error "$1 needs $what"; fi
        case $2 in -*) usage_error "$1 needs $what, not the option $2" ;; esac
        case $1 in
          --out) OUT=$(absolute "$2") ;;
          --venv) VENV=$(absolute "$2") ;;
          --offline) OFFLINE=$(absolute "$2") ;;
          --site) SITE=$(absolute "$2") ;;
          --target) TARGET=$2 ;;
          --root)
            set_mode card "$1"
            CARD=$(absolute "$2")
            ;;
          --sites)
            set_mode sites "$1"
            SHEET=$(absolute "$2")
            ;;
          --make-wheelhouse)
            set_mode wheelhouse "$1"
            WHEELHOUSE=$(absolute "$2")
            ;;
        esac
        case $1 in --make-wheelhouse | --sites | --root) ;; *) options="$options $1" ;; esac
        shift
        ;;
      --help | -h)
        usage
        exit 0
        ;;
      *) usage_error "unknown option: $1" ;;
    esac
    shift
  done
  : "${MODE:=box}"
  for option in $options; do option_fits "$option"; done
  if [ "$MODE" = card ] && [ -z "$OFFLINE" ]; then usage_error "--root needs --offline DIR"; fi
  if [ "$MODE" = sites ] && [ -z "$OUT" ]; then usage_error "--sites needs --out DIR"; fi
  : "${OUT:=$REPO/demo-output}" "${VENV:=$REPO/.venv}"
}

option_fits() { # OPTION: does it belong to what is to be done?
  case $1 in
    --out) case $MODE in demo | sites) ;; *) usage_error "$1 goes with --demo or --sites" ;; esac ;;
    --keep | --venv) [ "$MODE" = demo ] || usage_error "$1 goes with --demo" ;;
    --purge) [ "$MODE" = uninstall ] || usage_error "$1 goes with --uninstall" ;;
    --target) [ "$MODE" = wheelhouse ] || usage_error "$1 goes with --make-wheelhouse" ;;
    --dry-run)
      case $MODE in box | uninstall | card) ;; *) usage_error "$1 goes with setting up a box, --root or --uninstall" ;; esac
      ;;
    *) case $MODE in box | card) ;; *) usage_error "$1 goes with setting up a box or --root" ;; esac ;;
  esac
}

part() { # NAME: sets PART to the file with the steps of one topic
  PART=$REPO/firmware_config/install/$1.sh
  [ -s "$PART" ] ||
    die "$EX_NOINPUT" "this copy of the repository is incomplete: firmware_config/install/$1.sh is missing or empty" \
      "Get it with 'git clone' (or 'git checkout -- .' in a clone) and run install.sh again."
}

# Two runs at once would build into one folder. The lock goes with the process, however it ends.
lock() { # [FILE]
  command -v flock >/dev/null 2>&1 || return 0
  exec 9<"${1:-$REPO/pyproject.toml}"
  flock -n 9 || die "$EX_TEMPFAIL" "another install.sh is at work on ${2:-this copy of the repository}" "Wait until it is done."
}

unlock() { exec 9<&-; }

main() {
  CALLER_DIR=$(pwd)
  REPO=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
  parse_options "$@"
  # A Python set up by the surroundings must not leak into the appliance's own.
  unset PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV
  export ORT_DISABLE_TELEMETRY=1 # onnxruntime reports to its maker otherwise
  LOG=$(mktemp)
  trap 'rm -f -- "$LOG"' EXIT
  trap 'exit 129' HUP # dash runs what is to be done at the end for no signal but those named
  trap 'exit 130' INT
  trap 'exit 141' PIPE
  trap 'exit 143' TERM
  part python
  # shellcheck source=firmware_config/install/python.sh
  . "$PART"
  case $MODE in
    card)
      part wheelhouse
      # shellcheck source=firmware_config/install/wheelhouse.sh
      . "$PART"
      part card
      # shellcheck source=firmware_config/install/card.sh
      . "$PART"
      make_card
      ;;
    sites)
      find_python || die "$EX_UNAVAILABLE" "Python 3.$PYTHON_MIN_MINOR or later is needed;${seen:- there is none}"
      PYTHONPATH=$REPO PYTHONDONTWRITEBYTECODE=1 "$PYTHON" -m edge.app.site_sheet "$SHEET" "$OUT"
      ;;
    demo)
      part demo
      # shellcheck source=firmware_config/install/demo.sh
      . "$PART"
      demo
      ;;
    wheelhouse)
      part wheelhouse
      # shellcheck source=firmware_config/install/wheelhouse.sh
      . "$PART"
      make_wheelhouse
      ;;
    uninstall)
      part files
      # shellcheck source=firmware_config/install/files.sh
      . "$PART"
      part uninstall
      # shellcheck source=firmware_config/install/uninstall.sh
      . "$PART"
      uninstall
      ;;
    box)
      part wheelhouse
      # shellcheck source=firmware_config/install/wheelhouse.sh
      . "$PART"
      part files
      # shellcheck source=firmware_config/install/files.sh
      . "$PART"
      part checks
      # shellcheck source=firmware_config/install/checks.sh
      . "$PART"
      part release
      # shellcheck source=firmware_config/install/release.sh
      . "$PART"
      part box
      # shellcheck source=firmware_config/install/box.sh
      . "$PART"
      set_up_box
      ;;
  esac
}

main "$@"
