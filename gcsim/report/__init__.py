"""Reports: one page per run or sweep that opens anywhere, and figures for slides.

``extract`` turns tables into curves (numpy alone, tested without a browser).  ``figures`` draws the curves of a run with
Bokeh, ``sweep_figures`` the what-if panel and the Pareto chart of a sweep; ``page`` is the HTML around them, ``style`` the
colours.  ``run_report`` and ``sweep_report`` put a page together, ``png`` draws with matplotlib.

A page is a single file with everything in it.  Its content security policy forbids every request, so "opens offline" is
enforced by the browser and not only promised.  The same dataset gives the same bytes.
"""
