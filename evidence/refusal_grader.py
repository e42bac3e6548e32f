"""The refusal grader agrees with two human annotators on the answers of three models to XSTest."""

import csv
import os
import sys
from pathlib import Path

from evidence.claims import Claim, Measure, Measured, Options, conclude
from truing.grade import Refusal, measure
