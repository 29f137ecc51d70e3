"""Runs the SAM transform, which CloudFormation would run: translate.py PACKAGED TRANSLATED"""
import json
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """Each function names its role, so no managed policy is looked up."""

    def load(self):
        return {}


with open(sys.argv[1], encoding="utf-8") as packaged:
    template = yaml_parse(packaged.read())
defaults = {name: it["Default"] for name, it in template["Parameters"].items() if "Default" in it}
with open(sys.argv[2], "w", encoding="utf-8") as translated:
    json.dump(transform(template, defaults, NoManagedPolicies()), translated)
