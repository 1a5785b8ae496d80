"""What a user of the shop has asked for."""

from __future__ import annotations

from django.db import models

import marketfetch


class Wish(models.Model):
    """Symbols and days; `job` once marketfetch has recorded the job, `refused` if it says that it can't."""

    symbols = models.JSONField()
    start = models.CharField(max_length=10)
    end = models.CharField(max_length=10)
    job = models.CharField(max_length=16, default="")
    refused = models.TextField(default="")

    def enqueue(self) -> None:
        """Submits the job. Safe to call again: the tag keeps wishes apart, and one that has a job is left as it is."""
        if self.job:
            return
        try:
            found = marketfetch.submit("polygon", self.symbols, start=self.start, end=self.end, tags=[f"wish-{self.pk}"])
        except marketfetch.BadRequestError as error:
            self.refused = str(error)
        else:
            self.job = found.job_id
        self.save(update_fields=["job", "refused"])
