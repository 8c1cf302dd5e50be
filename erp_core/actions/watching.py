"""What the clock does with predictions: it writes down what came of them, opens a case where one calls for a look, and watches the models.

A score never holds or releases anything. It can bring an order to somebody's desk, no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import mean, stdev

from sqlalchemy import text
from sqlalchemy.orm import Session

from erp_core.actions import cases, models
from erp_core.actions.context import CORE, Change, Context, write_journal
from erp_core.commands import OpenCase
from erp_core.queries import models as queries
from erp_core.queries import policies, traffic
from erp_core.tables.desk import Case
from erp_core.values import HoldReason, Priority, Queue

# the number of the case that a prediction is about, so that the case is found by its key
CASE = "CASE WHEN p.subject ~ '^case:[0-9]{1,9}$' THEN substr(p.subject, 6)::int END"
# an order's questions are answered when it left, was cancelled, or is two months old
OUTCOMES = (
    """
UPDATE prediction p SET outcome_at = :now, outcome = CASE WHEN p.question = 'held'
  THEN (EXISTS (SELECT FROM hold h WHERE h.order_number = o.number AND h.placed_at > p.asked_at))::int
  ELSE (EXISTS (SELECT FROM hold h WHERE h.order_number = o.number AND h.placed_at > p.asked_at AND h.reason = p.question))::int END
FROM sales_order o WHERE p.outcome IS NULL AND p.subject = 'sales_order:' || o.number AND p.question = ANY(:holds)
 AND (o.status IN ('shipped', 'invoiced', 'closed', 'cancelled') OR o.ordered_at < :now - interval '60 days')""",
    """
UPDATE prediction p SET outcome_at = :now, outcome = (s.last IS NULL OR s.last >= o.requested_date + 1)::int
FROM sales_order o LEFT JOIN LATERAL (SELECT CASE WHEN bool_and(delivered_at IS NOT NULL) AND NOT EXISTS (SELECT FROM order_line l
  WHERE l.order_number = o.number AND l.quantity_base > l.quantity_shipped) THEN max(delivered_at) END AS last
  FROM shipment WHERE order_number = o.number) s ON true
WHERE p.outcome IS NULL AND p.question = 'late' AND p.subject = 'sales_order:' || o.number AND o.requested_date IS NOT NULL
 AND o.status <> 'cancelled' AND (s.last IS NOT NULL OR o.requested_date + 1 < cast(:now AS date))""",
    """
UPDATE prediction p SET outcome_at = :now, outcome = (EXISTS (SELECT FROM invoice v WHERE v.order_number = o.number
  AND coalesce(v.paid_at, cast(:now AS date)) > v.due_on + 30))::int
FROM sales_order o WHERE p.outcome IS NULL AND p.question = 'unpaid' AND p.subject = 'sales_order:' || o.number
 AND NOT EXISTS (SELECT FROM invoice v WHERE v.order_number = o.number AND v.paid_at IS NULL AND v.due_on + 30 >= cast(:now AS date))
 AND EXISTS (SELECT FROM invoice v WHERE v.order_number = o.number)""",
    """
UPDATE prediction p SET outcome_at = :now, outcome = (CASE p.question WHEN 'late' THEN r.first IS NULL OR r.first >= r.expected + 1 ELSE r.differs END)::int
FROM (SELECT q.id, coalesce(o.agreed_date, o.expected_date) AS expected, (SELECT min(c.received_at) FROM receipt c JOIN receipt_line x
    ON x.receipt = c.number WHERE c.purchase_order = o.number AND x.sku = split_part(q.subject, ':', 3)) AS first,
   EXISTS (SELECT FROM discrepancy d WHERE d.purchase_order = o.number AND d.receipt IS NOT NULL AND d.sku = split_part(q.subject, ':', 3)) AS differs
  FROM prediction q JOIN purchase_order o ON o.number = split_part(q.subject, ':', 2)
  WHERE q.outcome IS NULL AND q.subject LIKE 'purchase_order:%' AND q.question IN ('late', 'differs')) r
WHERE p.id = r.id AND (r.first IS NOT NULL OR (p.question = 'late' AND r.expected + 1 < cast(:now AS date)))""",
    """
UPDATE prediction p SET outcome_at = :now, outcome = (EXISTS (SELECT FROM stock_level s WHERE s.warehouse = split_part(p.subject, ':', 2)
  AND s.sku = split_part(p.subject, ':', 3) AND s.quantity_on_hand <= 0))::int
WHERE p.outcome IS NULL AND p.question IN ('within_7', 'within_14') AND (p.asked_at + make_interval(days => split_part(p.question, '_', 2)::int) < :now
  OR EXISTS (SELECT FROM stock_level s WHERE s.warehouse = split_part(p.subject, ':', 2) AND s.sku = split_part(p.subject, ':', 3) AND s.quantity_on_hand <= 0))""",
    f"""
UPDATE prediction p SET outcome_at = :now, outcome = (c.resolved_at IS NULL OR c.resolved_at > c.due_at)::int FROM case_file c
WHERE p.outcome IS NULL AND p.question = 'case_late' AND c.id = {CASE} AND p.asked_at >= c.came_at AND c.paused_at IS NULL
 AND (c.resolved_at IS NOT NULL OR c.due_at < :now)""",
    f"""
UPDATE prediction p SET outcome_at = :now, outcome = (c.root_cause = substr(p.question, 7))::int FROM case_file c
WHERE p.outcome IS NULL AND p.question LIKE 'cause\\_%' AND c.id = {CASE} AND c.root_cause NOT IN ('by_itself', 'machine_mail')""",
)
# cases of which a champion said something else than the clock knows; a tenth more or less moves nobody
MOVED = f"""
SELECT c.id, p.value, p.version, p.id AS prediction FROM prediction p JOIN case_file c ON c.id = {CASE}
WHERE p.version = :version AND p.use = 'champion' AND p.question = 'case_late' AND p.asked_at > :since AND p.asked_at >= c.came_at
 AND c.status NOT IN ('resolved', 'dismissed') AND abs(p.value - coalesce(c.late_chance, 0)) >= 0.1
 AND (casework.policy_content() -> 'weights' ->> 'late_weight')::numeric > 0
 AND NOT EXISTS (SELECT FROM prediction q WHERE q.subject = p.subject AND q.question = p.question AND q.version = p.version AND q.id > p.id)
ORDER BY p.id LIMIT 500 FOR UPDATE OF c SKIP LOCKED"""
# orders that the checks let pass and that will probably not go well; whoever looked once is not asked again
RISKY = """
SELECT DISTINCT ON (o.number) o.number, o.customer, p.question, p.value, p.reasons, p.version, l.value AS worth, p.id
FROM prediction p JOIN sales_order o ON p.subject = 'sales_order:' || o.number
JOIN LATERAL (SELECT coalesce(sum(unit_price * quantity_ordered), 0) AS value FROM order_line WHERE order_number = o.number) l ON true
WHERE p.use = 'champion' AND p.outcome IS NULL AND p.asked_at > :since AND p.question = ANY(:questions) AND p.value >= :above AND l.value >= :worth
 AND o.status IN ('entered', 'validated', 'allocated', 'released')
 AND NOT EXISTS (SELECT FROM prediction q WHERE q.subject = p.subject AND q.question = p.question AND q.use = p.use AND q.id > p.id)
 AND NOT EXISTS (SELECT FROM hold h WHERE h.order_number = o.number AND h.released_at IS NULL)
 AND NOT EXISTS (SELECT FROM case_file c WHERE c.kind = 'risk_review' AND c.subject = o.number)
ORDER BY o.number, p.value DESC LIMIT :most"""
QUEUES = {"price": Queue.PRICING, "margin": Queue.PRICING, "stock": Queue.ALLOCATION, "price_anomaly": Queue.PRICING,
          "duplicate_order": Queue.CUSTOMER_SERVICE, "duplicate": Queue.CUSTOMER_SERVICE, "abnormal": Queue.CUSTOMER_SERVICE,
          "data": Queue.MASTER_DATA, "export": Queue.COMPLIANCE}  # fmt: skip
WORDS = {"held": "will probably be held", "unpaid": "will probably be paid very late", "price_anomaly": "has a price that looks wrong",
         "duplicate_order": "looks like another order once more"}  # fmt: skip
NOTICEABLE = 0.0005  # of mean squared error
MOST_A_DAY = 40  # cases that predictions may open: people are not asked to death


def outcomes(session: Session, now: datetime) -> None:
    """Write down what came of predictions, as soon as it is known."""
    asked = {"now": now, "holds": ["held", *[r.value for r in HoldReason]]}
    for query in OUTCOMES:
        session.execute(text(query), {k: v for k, v in asked.items() if f":{k}" in query})


def reviews(session: Session, now: datetime) -> int:
    """Open a case for each order that a prediction says will not go well, for whoever could still do something."""
    policy = policies.active(session, now)
    asked = {
        "since": now - timedelta(days=14),
        "questions": ["held", "unpaid", "price_anomaly", "duplicate_order", *[r.value for r in HoldReason]],
        "above": policy.models.review_above,
        "worth": policy.models.review_amount,
    }
    lately = text("SELECT count(*) FROM case_file WHERE kind = 'risk_review' AND opened_at > :day")
    asked["most"] = max(MOST_A_DAY - int(session.execute(lately, {"day": now - timedelta(days=1)}).scalar_one()), 0)
    rows = session.execute(text(RISKY), asked).all()
    for row in rows:
        context = Context(session, f"review:{row.number}:{row.id}", CORE, now, policy)
        words = WORDS.get(row.question, f"will probably be held for {row.question}")
        cases.open_or_add(
            OpenCase(
                kind="risk_review",
                subject=row.number,
                title=f"{row.number} {words} ({row.value:.0%})"[:200],
                queue=QUEUES.get(row.question, Queue.CREDIT),
                priority=Priority.NORMAL,
                customer=row.customer,
                order=row.number,
                at_stake=row.worth,
                details={
                    "problems": [str(r["text"]) for r in row.reasons],
                    "prediction": row.id,
                    "version": row.version,
                },
            ),
            context,
        )
        after = {
            "question": row.question,
            "value": round(row.value, 4),
            "version": row.version,
            "reasons": list(row.reasons),
        }
        write_journal(context, Change("order:risk:raised", f"sales_order:{row.number}", None, after), context.key, None)
    return len(rows)


def forward(session: Session, now: datetime) -> int:
    """What will probably be late comes forward in its band, as far as policy weighs it, and no case leaves its band. Cases moved."""
    version = queries.in_use(session, "case_late", now)
    if version is None:
        return 0
    policy = policies.active(session, now)
    rows = session.execute(text(MOVED), {"version": version.id, "since": now - timedelta(days=1)}).all()
    for row in rows:
        case = session.get_one(Case, row.id)
        before, case.late_chance = case.late_chance, round(row.value, 2)
        context = Context(session, f"forward:{row.prediction}", CORE, now, policy)
        after = {"late_chance": case.late_chance, "version": row.version}
        change = Change("case:place:moved", f"case:{row.id}", {"late_chance": before}, after)
        write_journal(context, change, context.key, None, row.id)
    return len(rows)


def watch(session: Session, now: datetime) -> list[str]:
    """Look at each champion: do its inputs drift, are its probabilities still right? What is not gets a case for whoever keeps models."""
    policy, alarmed = policies.active(session, now), []
    for (name, use), version in queries.all_in_use(session, now).items():
        if use != "champion" or version.kind != "model":
            continue
        problems = traffic.state_of(session, version, now)["problems"]
        if problems:
            context = Context(session, f"watch:{version.id}:{now:%Y%m%d%H%M%S}", CORE, now, policy)
            if models.alarm(
                f"{name}:{version.id}", f"{name.replace('_', ' ').title()} should be looked at", problems, context
            ):
                alarmed.append(name)
    return alarmed


def rivalry(session: Session, now: datetime) -> list[str]:
    """A version in the shadow that errs clearly less than what is in use, on the same questions, gets a case for whoever may promote it. Names."""
    policy, told = policies.active(session, now), []
    for (name, use), shadow in queries.all_in_use(session, now).items():
        champion = queries.in_use(session, name, now)
        if use != "shadow" or champion is None or shadow.kind != "model":
            continue
        since = now - timedelta(days=policy.models.watch_days)
        known = [r for r in queries.rivals(session, champion.id, shadow.id, since) if r.outcome is not None]
        better = [(r.champion - r.outcome) ** 2 - (r.shadow - r.outcome) ** 2 for r in known]
        low = _at_worst(better)
        if low < NOTICEABLE:
            continue
        context = Context(session, f"rivalry:{shadow.id}:{now:%Y%m%d%H%M%S}", CORE, now, policy)
        words = f"On {len(known)} of our own questions version {shadow.id} errs less than version {champion.id}, which is in use: at worst by {low:.4f}."
        title = f"Version {shadow.id} of {name.replace('_', ' ')} does better than what is in use"
        if models.alarm(
            f"challenger:{name}:{shadow.id}",
            title,
            [words, f"Measure it, then promote it: countersign eval version {shadow.id}"],
            context,
        ):
            told.append(name)
    return told


def _at_worst(better: Sequence[float]) -> float:
    """How much less is erred on average, at worst of 95 in 100; nothing with too few questions."""
    if len(better) < traffic.LEAST:
        return 0.0
    return mean(better) - 1.96 * stdev(better) / math.sqrt(len(better))
